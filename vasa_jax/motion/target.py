"""The x0 of diffusion: in VASA-1 the window's motion itself.

Extensions may diffuse a function of it (`vasa_jax.extensions.residual_prior`).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax.numpy as jnp

from vasa_jax.typing import Array, Float

__all__ = ["MotionTarget", "Target"]


@runtime_checkable
class Target(Protocol):
    """An invertible function of a window's normalised motion."""

    @property
    def continues(self) -> bool:
        """Whether x0 of the window can be compared with the motion before it."""
        ...

    def encode(self, motion: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        """x0 of a motion."""
        ...

    def decode(self, x0: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        """The motion of an x0."""
        ...

    def scale(self, x0: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        """Motion per unit of x0."""
        ...


@dataclass(frozen=True)
class MotionTarget:
    """x0 is the motion (VASA-1, 3.2)."""

    @property
    def continues(self) -> bool:
        return True

    def encode(self, motion: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        return motion

    def decode(self, x0: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        return x0

    def scale(self, x0: Float[Array, "b w m"]) -> Float[Array, "b w m"]:
        return jnp.ones_like(x0)
