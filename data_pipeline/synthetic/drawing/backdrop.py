"""Backgrounds: a plain colour, a gradient, or noise."""

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.skin import noise
from vasa_jax.data_pipeline.synthetic.identity import Background
from vasa_jax.typing import Float


def backdrop(background: Background, size: int) -> Float[np.ndarray, "{size} {size} 3"]:
    """The picture without the person, sRGB in [0, 255]."""
    first, second = np.array(background.first), np.array(background.second)
    axis = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(axis, axis)
    if background.kind == "plain":
        share = np.zeros((size, size))
    elif background.kind == "gradient":
        share = 0.5 + x * np.cos(background.angle) + y * np.sin(background.angle)
    else:
        rng = np.random.default_rng(background.seed)
        share = 0.5 + 0.25 * noise(rng, size, max(2, round(1 / background.scale)), 3)
    share = np.clip(share, 0, 1)[..., None]
    return (255 * ((1 - share) * first + share * second)).astype(np.float32)
