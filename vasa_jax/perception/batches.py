"""Batched evaluation of a compiled network on many images."""

from collections.abc import Callable

import jax
import numpy as np

from vasa_jax.typing import Float, Frames


def to_float(frames: Frames) -> Float[np.ndarray, "t h w 3"]:
    return frames.astype(np.float32) / 255


def in_batches(network: Callable, inputs: tuple[np.ndarray, ...], batch: int) -> np.ndarray:
    """Rows of the inputs through a compiled network, `batch` at a time, in full float32."""
    count, found = len(inputs[0]), []
    # A graphics card's shorter products would blur distances in the third digit.
    with jax.default_matmul_precision("highest"):
        for start in range(0, count, batch):
            part = [x[start : start + batch] for x in inputs]
            less = batch - len(part[0])
            part = [np.concatenate([x, np.repeat(x[-1:], less, 0)]) for x in part]
            found.append(np.asarray(network(*part))[: batch - less])
    return np.concatenate(found)
