"""Identity networks behind one interface: aligned crop, embedding, feature maps; frozen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import jax
import numpy as np

from vasa_jax import zoo
from vasa_jax.errors import UserError
from vasa_jax.perception.align import ARCFACE, DLIB, Alignment, aligned_crop
from vasa_jax.perception.arcface import DEPTHS, IResNet
from vasa_jax.perception.batches import in_batches, to_float
from vasa_jax.perception.dlib_identity import CHIP_SIZE, DlibIdentity, load
from vasa_jax.typing import Array, Float, Frames, Image

Chips = Float[Array, "b s s 3"]
Features = tuple[Float[Array, "b _ _ _"], ...]
FACE_SHARE = 0.54
"""Of a crop's side (`vasa_jax.inference.portrait`)."""


@dataclass(frozen=True)
class IdentityNetwork:
    """A frozen identity network."""

    # Chips in [0, 1] to (embeddings, feature maps).
    apply: Callable[[Chips], tuple[Float[Array, "b e"], Features]]
    alignment: Alignment  # how its chips are cut
    shrink: int = 1  # see `aligned_crop`, about (face size in the image) / (chip size)

    def __call__(
        self, images: Image, points: Float[Array, "b 5 2"]
    ) -> tuple[Float[Array, "b e"], Features]:
        """Embeddings and feature maps of whole images with five face points each (fractions)."""
        return self.apply(aligned_crop(images, points, self.alignment, self.shrink))


def identity_network(name: str, params: Mapping, shrink: int = 1) -> IdentityNetwork:
    """The network `dlib`, `arcface-r50` or `arcface-r100` with its parameters, never trained.

    Raises UserError for another name.
    """
    params = jax.lax.stop_gradient(params)
    if name == "dlib":
        network: DlibIdentity | IResNet = DlibIdentity()
        alignment = DLIB
    elif name.removeprefix("arcface-") in DEPTHS:
        network = IResNet(DEPTHS[name.removeprefix("arcface-")])
        alignment = ARCFACE
    else:
        raise UserError(
            f"unknown identity network {name!r} (known: dlib, arcface-r50, arcface-r100)"
        )

    def apply(chips: Chips) -> tuple[Float[Array, "b e"], Features]:
        return cast(tuple[Array, Features], network.apply({"params": params}, chips))

    return IdentityNetwork(apply, alignment, shrink)


def identity_vectors(
    size: int, batch: int = 8
) -> Callable[[Frames, Float[np.ndarray, "t 5 2"]], Float[np.ndarray, "t 128"]]:
    """A function to dlib's vectors of faces in pictures of `size` pixels, by the zoo's weights.

    Raises UserError where the weights are neither here nor to be had.
    """
    shrink = max(1, round(FACE_SHARE * size / CHIP_SIZE))
    shrink = shrink if size % shrink == 0 else 1
    network = identity_network("dlib", load(zoo.ensure("dlib-face-recognition")), shrink)
    embed = jax.jit(lambda images, points: network(images, points)[0])

    def measure(frames: Frames, points: Float[np.ndarray, "t 5 2"]) -> Float[np.ndarray, "t 128"]:
        return in_batches(embed, (to_float(frames), points.astype(np.float32)), batch)

    return measure
