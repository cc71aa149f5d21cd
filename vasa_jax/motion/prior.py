"""What a window is known to be before the network speaks: it goes on from the frame before it.

Each number of each frame has a Gaussian prior, correlated with the last frame before the window as
the data's is, of variance 1 in all; without context that is the standard normal one. Diffusion runs
on the residual, the standard deviations between the prior's mean and the motion, as in PriorGrad
(Lee et al. 2022, arXiv 2106.06406).

Not from the paper, which diffuses the motion itself. There, heads that hold their pose within a
window to a tenth of what they differ by between clips are lost in the noise until the last steps:
a small network draws their mean, and misses the frame before the window by more than they move.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from vasa_jax.motion.conditions import Conditions
from vasa_jax.typing import Array, Float

LEAST = 1e-5
"""1 - correlation: what never moves is still allowed to."""
DEFAULT_FRAMES = 25.0
"""Correlations fall to 1/e after so many frames where nothing was measured."""


class Prior(NamedTuple):
    """Of normalised motion, independent for each number of each frame."""

    mean: Float[Array, "b w m"]
    std: Float[Array, "b w m"]

    def residual(self, motion: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        """What there is to draw of normalised motion: about standard normal."""
        return (motion - self.mean) / self.std

    def motion(self, residual: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        """The inverse of `residual`."""
        return self.mean + self.std * residual


def default_correlations(window: int, dim: int) -> Float[np.ndarray, "w m"]:
    """exp(-lag / DEFAULT_FRAMES) for lags 1..window."""
    falling = np.exp(-np.arange(1, window + 1) / DEFAULT_FRAMES)
    return np.tile(falling[:, None], (1, dim))


def correlations(
    clips: Iterable[Float[np.ndarray, "_ m"]], std: Float[np.ndarray, " m"], window: int
) -> Float[np.ndarray, "w m"]:
    """Correlation of each number with itself 1..window frames later, over all clips.

    As 1 - E[(x_i+lag - x_i)^2] / (2 std^2): no mean of a single clip enters. Lags that no clip
    reaches take the value of the longest that one does; 0 where there is none, never negative.
    """
    squares, counts = np.zeros((window, len(std))), np.zeros(window)
    for clip in clips:
        wide = np.asarray(clip, np.float64)
        for lag in range(1, min(window, len(wide) - 1) + 1):
            squares[lag - 1] += ((wide[lag:] - wide[:-lag]) ** 2).sum(0)
            counts[lag - 1] += len(wide) - lag
    reached = int((counts > 0).sum())
    if not reached:
        return np.zeros_like(squares)
    found = 1 - squares[:reached] / counts[:reached, None] / (2 * np.asarray(std, np.float64) ** 2)
    rest = np.repeat(found[-1:], window - reached, 0)
    return np.clip(np.concatenate([found, rest]), 0, 1)


def spread_of(correlation: Float[Array | np.ndarray, "w m"]) -> Float[Array, "w m"]:
    """log(1 - correlation), as the network stores it: bf16 would round 0.999 to 1."""
    return jnp.log(jnp.maximum(1 - jnp.asarray(correlation), LEAST)).astype(jnp.float32)


def prior_of(spread: Float[Array, "w m"], conditions: Conditions) -> Prior:
    """Around the last context frame where there is a context, else of mean 0 and deviation 1."""
    told = conditions.has_context[:, None, None]
    apart = jnp.where(told, jnp.exp(spread.astype(jnp.float32)), 1.0)
    last = conditions.motion_context[:, -1:].astype(jnp.float32)
    return Prior((1 - apart) * jnp.where(told, last, 0.0), jnp.sqrt(apart * (2 - apart)))
