"""Noise, steps and other functions of procedural textures."""

import cv2
import numpy as np


def step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 3) -> np.ndarray:
    """Smooth noise about 0, standard deviation 1, its largest features size / cells wide."""
    total = np.zeros((size, size), np.float32)
    for k in range(octaves):
        n = min(cells * 2**k, size)
        grid = rng.standard_normal((n, n)).astype(np.float32)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) / 2**k
    return total / total.std()
