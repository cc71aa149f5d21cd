"""Gaussian prior of a window's motion given the last context frame; diffusion runs on the residual
(PriorGrad, Lee et al. 2022, 2106.06406).

Each number of each frame has a Gaussian prior, correlated with the last frame before the window as
in the data, of variance 1 in all; without context it is the standard normal one. The residual is
the distance to the prior's mean in standard deviations.

VASA-1 diffuses the motion itself. Heads that hold their pose within a window to a tenth of what
they differ by between clips are then lost in the noise until the last steps: a small network draws
their mean, and misses the frame before the window by more than they move.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.motion.conditions import Conditions
from vasa_jax.motion.dit import MotionTransformer
from vasa_jax.typing import Array, Float

__all__ = [
    "PARAMETER",
    "GaussianPrior",
    "PriorMotionTransformer",
    "correlations",
    "default_correlations",
    "gaussian_prior",
    "pack_correlation",
]

PARAMETER = "prior_spread"
"""Measured, not learned; among the model's parameters, so that it goes where they go."""
LEAST = 1e-5
"""Of 1 - correlation: numbers that never move in the data may still move a little."""
DEFAULT_FRAMES = 25.0
"""Without measurements correlations fall to 1/e after so many frames."""


class GaussianPrior(NamedTuple):
    """Of normalised motion, independent for each number of each frame; a `motion.target.Target`."""

    mean: Float[Array, "b w m"]
    std: Float[Array, "b w m"]

    @property
    def continues(self) -> bool:
        """Residuals start anew at each window."""
        return False

    def encode(self, motion: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        """The residual, about standard normal."""
        return (motion - self.mean) / self.std

    def decode(self, x0: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        return self.mean + self.std * x0

    def scale(self, x0: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        return self.std


class PriorMotionTransformer(MotionTransformer):
    """The diffusion transformer on residuals."""

    def setup(self):
        super().setup()
        known = default_correlations(self.config.window, self.motion_dim)
        self.spread = self.param(PARAMETER, lambda key: pack_correlation(known))

    def target(self, conditions: Conditions) -> GaussianPrior:
        return gaussian_prior(jax.lax.stop_gradient(self.spread), conditions)


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


def pack_correlation(correlation: Float[Array | np.ndarray, "w m"]) -> Float[Array, "w m"]:
    """log(1 - correlation), as the parameter holds it: bf16 would round 0.999 to 1."""
    return jnp.log(jnp.maximum(1 - jnp.asarray(correlation), LEAST)).astype(jnp.float32)


def gaussian_prior(spread: Float[Array, "w m"], conditions: Conditions) -> GaussianPrior:
    """Around the last context frame where there is a context, else of mean 0 and deviation 1."""
    known = conditions.has_context[:, None, None]
    apart = jnp.where(known, jnp.exp(spread.astype(jnp.float32)), 1.0)
    last = conditions.motion_context[:, -1:].astype(jnp.float32)
    return GaussianPrior((1 - apart) * jnp.where(known, last, 0.0), jnp.sqrt(apart * (2 - apart)))
