"""Lip gap as a function of ARKit coefficients."""

import numpy as np

from vasa_jax.typing import ARKIT, Array, Float

__all__ = ["PARTING", "lips_apart"]

_CORNERS = ("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight")
_SHARES = {"jawOpen": 1.0, "mouthClose": -1.0, **dict.fromkeys(_CORNERS, 0.25)}
PARTING = np.array([_SHARES.get(name, 0.0) for name in ARKIT], np.float32)
"""What each coefficient adds; below 0 lips are shut all the same."""


def lips_apart(arkit: Float[Array | np.ndarray, "*n 52"]) -> Float[Array | np.ndarray, "*n"]:
    """0 shut, about 1 at a jaw wide open."""
    return (arkit @ PARTING).clip(0)
