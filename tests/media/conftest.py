import numpy as np
import pytest


@pytest.fixture(scope="session")
def gradient() -> np.ndarray:
    """(150, 140, 3) uint8, different in every channel and under every flip and turn."""
    y, x = np.mgrid[:150, :140]
    return np.stack([y * 255 // 149, x * 255 // 139, (x + y) * 255 // 288], -1).astype(np.uint8)
