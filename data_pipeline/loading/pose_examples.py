"""Pictures of heads, turned, moved and scaled in their plane, with the pose that they then have."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.augment_flip import flip_rotation, flip_translation
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.typing import Array, Bool, Float, PortraitArray, Pose

POSE = Pose._fields
SPREAD = np.array([0.15, 0.06, 0.06, 0.1])
"""Standard deviations of roll (rad), x, y (half pictures) and log scale."""
COLOURS = augment.STRONG


class InPlaneTransform(NamedTuple):
    """A similarity of the picture's plane, or a batch of them, of numpy or JAX:
    p -> exp(log_scale) Rz(roll) p + shift, in half pictures about the middle."""

    roll: Float[np.ndarray | Array, "*b"] | float
    shift: Float[np.ndarray | Array, "*b 2"]
    log_scale: Float[np.ndarray | Array, "*b"] | float

    def matrix(self) -> Float[np.ndarray | Array, "*b 2 2"]:
        """exp(log_scale) Rz(roll)."""
        xp = self.shift.__array_namespace__()
        cos, sin, grow = xp.cos(self.roll), xp.sin(self.roll), xp.exp(self.log_scale)
        turn = xp.stack([cos, -sin, sin, cos], axis=-1).reshape(*cos.shape, 2, 2)
        return grow[..., None, None] * turn

    def sampling(self, stored: int, size: int) -> Float[np.ndarray | Array, "*b 2 3"]:
        """From pixels of the turned picture, of `size` px, to pixels of the original's `stored`."""
        xp = self.shift.__array_namespace__()
        small, large = (size - 1) / 2, (stored - 1) / 2
        back = self._replace(roll=-self.roll, log_scale=-self.log_scale).matrix()
        # Pixel of the result -> half pictures -> half pictures of the original -> its pixel.
        offset = large * (1 - applied(back, 1 + self.shift))
        return xp.concatenate([back * (large / small), offset[..., None]], axis=-1)

    def picture(self, image: PortraitArray, size: int) -> PortraitArray:
        """The turned picture (of one turn) at another size, bilinear; its edges go on beyond it."""
        import cv2

        sigma = blur_before(image.shape[0], size)
        if sigma:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            image,
            self.sampling(image.shape[0], size),
            (size, size),
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def pose(self, pose: Pose) -> Pose:
        """The head's pose in the turned picture: R = Rz(roll) Ry Rx and M = exp(log_scale) R take
        the turn from the left."""
        xp = self.shift.__array_namespace__()
        roll, log_scale = xp.asarray(self.roll), xp.asarray(self.log_scale)
        place = applied(self.matrix(), pose.translation[..., :2]) + self.shift
        depth = xp.exp(log_scale)[..., None] * pose.translation[..., 2:]
        return Pose(
            pose.rotation + roll[..., None] * np.array([0, 0, 1], roll.dtype),
            xp.concatenate([place, depth], axis=-1),
            pose.log_scale + log_scale[..., None],
        )


def applied(
    matrix: Float[np.ndarray | Array, "... 2 2"], vector: Float[np.ndarray | Array, "... 2"]
) -> Float[np.ndarray | Array, "... 2"]:
    """Their products, in full float32 on an accelerator too."""
    return (matrix * vector[..., None, :]).sum(-1)


def blur_before(stored: int, size: int) -> float:
    """Standard deviation, in pixels, of the blur before pictures of `stored` px are sampled at
    `size` px; 0 where no blur is needed: further apart bilinear samples would skip pixels."""
    small, large = (size - 1) / 2, (stored - 1) / 2
    return 0.5 * large / small if large > 1.2 * small else 0.0


class PoseAugmentation(NamedTuple):
    """What is drawn for one head, or for a batch of them. turn: roll, x, y, log scale."""

    turn: Float[np.ndarray | Array, "*b 4"]
    colours: Float[np.ndarray | Array, "*b 3 4"]
    flip: Bool[np.ndarray | Array, "*b"]

    def similarity(self) -> InPlaneTransform:
        """The turn, as such."""
        return InPlaneTransform(self.turn[..., 0], self.turn[..., 1:3], self.turn[..., 3])


def sample_pose_augmentation(rng: np.random.Generator) -> PoseAugmentation:
    """What `transformed_image` needs for one head; half of them are mirrored."""
    turn = rng.normal(size=4) * SPREAD
    return PoseAugmentation(turn, augment.draw_colours(rng, COLOURS), np.array(rng.random() < 0.5))


def transformed_image(
    image: PortraitArray, pose: Pose, size: int, draws: PoseAugmentation | None
) -> tuple[PortraitArray, Pose]:
    """A picture and the pose (one, without a batch) of its head, recoloured, mirrored and turned as
    drawn; None: nothing of that. size: of the result."""
    if draws is None:
        turn = InPlaneTransform(0.0, np.zeros(2), 0.0)
        return turn.picture(image, size), turn.pose(pose)
    image = augment.recolour(image, draws.colours)
    if draws.flip:
        image = np.ascontiguousarray(image[:, ::-1])
        pose = flip_pose(pose)
    turn = draws.similarity()
    return turn.picture(image, size), turn.pose(pose)


def flip_pose(pose: Pose) -> Pose:
    """That of the mirrored picture."""
    return Pose(flip_rotation(pose.rotation), flip_translation(pose.translation), pose.log_scale)


class PoseImageOptions(NamedTuple):
    """How frames of clips become examples. size: of the pictures, pixels; plain: as they are."""

    size: int
    plain: bool = False


class EncodedFrame(NamedTuple):
    """A frame of a clip as it lies in its record; pose: None where it is not known."""

    frame: bytes
    pose: Pose | None


def sample_frame(
    record: Mapping[str, Any], identity: int, rng: np.random.Generator, how: PoseImageOptions
) -> EncodedFrame:
    """A random frame of a record that `pairs.read_record` read."""
    del identity, how
    k = int(rng.integers(len(record["frames"])))
    known = all(len(record[name]) for name in POSE)
    pose = Pose(*(record[name][k] for name in POSE)) if known else None
    return EncodedFrame(bytes(record["frames"][k]), pose)


def make_pose_example(
    raw: EncodedFrame,
    size: int,
    how: PoseImageOptions,
    rng: np.random.Generator,
    masks: bool,
    stored: int,
) -> dict[str, np.ndarray]:
    """One example: `image` as uint8 and the parts of its pose by name, if it is known.

    stored: side of the pictures in the record; that of the example's is `how.size`.
    """
    del masks, size
    still = Pose(np.zeros(3), np.zeros(3), np.zeros(1))
    known = raw.pose is not None
    image, pose = transformed_image(
        decode_rgb(raw.frame, stored),
        raw.pose if known else still,
        how.size,
        None if how.plain else sample_pose_augmentation(rng),
    )
    labels = {name: np.asarray(value, np.float32) for name, value in pose._asdict().items()}
    return {"image": image, **(labels if known else {})}
