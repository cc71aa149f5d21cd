"""The head pose as the mean over an image and its mirror image; VASA-1's encoder sees it once.

For the small pose encoder of `demo` it did as much for held-out heads as a further training did
(docs/demo_weights.md), and costs one more pass of that encoder.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vasa_jax.face.pose import mirror_pose
from vasa_jax.typing import Image, Pose

__all__ = ["flip_averaged"]


def flip_averaged(encode: Callable[[Image], Pose], image: Image) -> Pose:
    """The mean of `encode(image)` and of the mirrored pose of the mirror image."""
    # Interleaved, so that both of an example are on one device.
    both = encode(jnp.stack([image, image[:, :, ::-1]], 1).reshape(-1, *image.shape[1:]))
    pose, mirrored = (Pose(*(x[k::2] for x in both)) for k in range(2))
    return jax.tree.map(lambda a, b: (a + b) / 2, pose, mirror_pose(mirrored))
