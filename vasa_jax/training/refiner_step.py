"""The face refiner alone, on crops of frames that a frozen face model decoded.

Its targets are the same crops of the exact renders. Where the face model is frozen its frames need
to be decoded but once, and a step costs a tenth of the full model's.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.face.conv import Style
from vasa_jax.face.motion import FACE_CENTRE
from vasa_jax.face.refiner import HALF, FaceRefiner
from vasa_jax.means import uniform
from vasa_jax.perception.vgg import VGG, VGG16_BLOCKS
from vasa_jax.training.label_step import label_task
from vasa_jax.training.task import Task
from vasa_jax.typing import POSE_DIM, Array, Float

EDGES = 1.0
"""Weight of the L1 distance of image gradients, beside that of colours."""
TAPS = ("relu1_2", "relu2_2", "relu3_3")
MOUTH_SIDE = 0.5
"""Side of the square about the mouth that VGG sees, in sides of the crop."""
_REGIONS = (
    # x, y, spread of x, spread of y (canonical coordinates), and weight.
    (0.0, 0.45, 0.20, 0.17, 6.0),
    (-0.18, 0.01, 0.11, 0.08, 4.0),
    (0.18, 0.01, 0.11, 0.08, 4.0),
)


class RefinerBatch(NamedTuple):
    """frame, portrait, target: (b, s, s, 3) in [0, 1], s = `face.refiner`: crops of the decoded
    frame, of the portrait and of the frame's exact render. motion: (b, n), as
    `vasa_jax.face.refiner.condition` gives it."""

    frame: Float[Array, "b s s 3"]
    portrait: Float[Array, "b s s 3"]
    target: Float[Array, "b s s 3"]
    motion: Float[Array, "b n"]


def condition_size(config: Config) -> int:
    """Length of `RefinerBatch.motion`: two dynamics codes and two rotations."""
    return 2 * (config.face.motion_dim - POSE_DIM + 3)


def refiner_struct(config: Config) -> RefinerBatch:
    """Shapes of a global batch."""
    b, s = config.train_face.batch, config.face.refiner
    f32 = lambda *shape: jax.ShapeDtypeStruct((b, *shape), jnp.float32)  # noqa: E731
    return RefinerBatch(f32(s, s, 3), f32(s, s, 3), f32(s, s, 3), f32(condition_size(config)))


def region_weights(size: int) -> Float[np.ndarray, "s s 1"]:
    """How much each pixel of a crop counts: 1, and more at the mouth and the eyes; mean 1."""
    axis = np.linspace(-HALF, HALF, size)
    x, y = np.meshgrid(axis + FACE_CENTRE[0], axis + FACE_CENTRE[1])
    weights = np.ones((size, size))
    for cx, cy, sx, sy, weight in _REGIONS:
        weights += weight * np.exp(-0.5 * (((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2))
    return (weights / weights.mean())[..., None].astype(np.float32)


def crop_loss(
    drawn: Float[Array, "b s s 3"], target: Float[Array, "b s s 3"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Weighted L1 of colours, and of their differences between neighbours at two scales."""
    weights = jnp.asarray(region_weights(drawn.shape[1]))
    error = drawn - target
    colour = (weights * jnp.abs(error)).mean()
    edges = 0.0
    for far in (1, 2):
        for axis in (1, 2):
            change = error - jnp.roll(error, far, axis)
            edges += (weights * jnp.abs(change)).mean() / 4
    return colour, edges


def mouth_square(crop: Float[Array, "b s s 3"]) -> Float[Array, "b m m 3"]:
    """The square about the mouth."""
    size = crop.shape[1]
    side = round(MOUTH_SIDE * size)
    top = round(((0.45 - FACE_CENTRE[1]) / HALF + 1) / 2 * size - side / 2)
    left = (size - side) // 2
    return crop[:, top : top + side, left : left + side]


def refiner_task(config: Config, vgg: dict | None = None) -> Task:
    """A task for the loop; `train_face` and `face_losses.perceptual.weight` rule it.

    vgg: frozen parameters of VGG-16, needed where the perceptual loss has a weight. Its parameters
    are {"face": {"refiner": …}}, as stage 1 names them. Raises UserError without `face.refiner`.
    """
    if not config.face.refiner:
        raise UserError("the refiner is trained where there is one: set face.refiner")
    weight = config.face_losses.perceptual.weight
    if weight and vgg is None:
        raise UserError("the loss face_losses.perceptual.weight needs the weights of VGG, which "
                        "are missing: give them, or set it to 0")  # fmt: skip
    network = FaceRefiner(Style(config.face.norm_groups, config.dtype))
    features = VGG(VGG16_BLOCKS, TAPS, dtype=config.dtype)

    def init(key):
        struct = refiner_struct(config)
        zeros = [jnp.zeros((1, *x.shape[1:])) for x in (struct.frame, struct.portrait)]
        motion = jnp.zeros((1, condition_size(config)))
        return {"face": {"refiner": network.init(key, *zeros, motion)["params"]}}

    def refine(params, *inputs):
        return network.apply({"params": params["face"]["refiner"]}, *inputs)

    def read(layout, params, batch):
        return layout.by_example(refine)(params, batch.frame, batch.portrait, batch.motion)

    def terms(drawn, batch):
        rows = len(drawn)
        colour, edges = crop_loss(drawn, batch.target)
        found = [("colour", 1.0, uniform(colour, rows)), ("edges", EDGES, uniform(edges, rows))]
        if weight:
            pair = [features.apply({"params": vgg}, mouth_square(x)) for x in (drawn, batch.target)]
            value = sum(jnp.abs(a - b).mean() for a, b in zip(*pair, strict=True))
            found.append(("perceptual", weight, uniform(value, rows)))
        return found

    struct = refiner_struct(config)
    return label_task("refiner", config, config.train_face, struct, init, read, terms)
