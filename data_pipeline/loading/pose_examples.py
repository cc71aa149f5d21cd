"""Examples for the pose encoder: images under a random in-plane transform, with the new pose."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.augment_flip import flip_rotation, flip_translation
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.data_pipeline.loading.pairs import AnyArray
from vasa_jax.typing import Array, Bool, Float, PortraitArray, Pose

POSE = Pose._fields
SPREAD = np.array([0.15, 0.06, 0.06, 0.1])
"""Standard deviations of roll (rad), x, y (half images) and log scale."""
COLOURS = augment.STRONG


class InPlaneTransform(NamedTuple):
    """A similarity of the image plane, or a batch of them, of numpy or JAX:
    p -> exp(log_scale) Rz(roll) p + shift, in half images about the centre."""

    roll: Float[AnyArray, "*b"] | float
    shift: Float[AnyArray, "*b 2"]
    log_scale: Float[AnyArray, "*b"] | float

    def matrix(self) -> Float[AnyArray, "*b 2 2"]:
        """exp(log_scale) Rz(roll)."""
        xp: Any = self.shift.__array_namespace__()
        cos, sin, grow = xp.cos(self.roll), xp.sin(self.roll), xp.exp(self.log_scale)
        rotation = xp.stack([cos, -sin, sin, cos], axis=-1).reshape(*cos.shape, 2, 2)
        return grow[..., None, None] * rotation

    def sampling(self, stored: int, size: int) -> Float[AnyArray, "*b 2 3"]:
        """From pixels of the result, of `size` px, to pixels of the original, of `stored` px."""
        xp: Any = self.shift.__array_namespace__()
        small, large = (size - 1) / 2, (stored - 1) / 2
        back: Any = InPlaneTransform(-self.roll, self.shift, -self.log_scale).matrix()
        # Pixel of the result -> half images -> half images of the original -> its pixel.
        offset = large * (1 - applied(back, 1 + self.shift))
        return xp.concatenate([back * (large / small), offset[..., None]], axis=-1)

    def image(self, image: PortraitArray, size: int) -> PortraitArray:
        """The image under one transform at another size, bilinear, its edges replicated."""
        import cv2

        sigma = blur_before(image.shape[0], size)
        if sigma:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            image,
            np.asarray(self.sampling(image.shape[0], size)),
            (size, size),
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def pose(self, pose: Pose) -> Pose:
        """The head's pose in the transformed image, which multiplies R = Rz(roll) Ry Rx and
        M = exp(log_scale) R from the left."""
        xp: Any = self.shift.__array_namespace__()
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
) -> Any:
    """Their products (..., 2), in full float32 on an accelerator too."""
    return (matrix * vector[..., None, :]).sum(-1)


def blur_before(stored: int, size: int) -> float:
    """Standard deviation, pixels, of the blur before sampling images of `stored` px at `size` px; 0
    where samples are so near that bilinear ones skip no pixel."""
    small, large = (size - 1) / 2, (stored - 1) / 2
    return 0.5 * large / small if large > 1.2 * small else 0.0


class PoseAugmentation(NamedTuple):
    """A sampled augmentation of one image, or of a batch of them."""

    turn: Float[AnyArray, "*b 4"]  # roll, x, y, log scale
    colours: Float[AnyArray, "*b 3 4"]  # an affine map of RGB
    flip: Bool[AnyArray, "*b"]

    def transform(self) -> InPlaneTransform:
        turn: Any = self.turn
        return InPlaneTransform(turn[..., 0], turn[..., 1:3], turn[..., 3])


def sample_pose_augmentation(rng: np.random.Generator) -> PoseAugmentation:
    """An augmentation for `transformed_image`; half of them mirror."""
    turn = rng.normal(size=4) * SPREAD
    return PoseAugmentation(turn, augment.draw_colours(rng, COLOURS), np.array(rng.random() < 0.5))


def transformed_image(
    image: PortraitArray, pose: Pose, size: int, draws: PoseAugmentation | None
) -> tuple[PortraitArray, Pose]:
    """An image and its head's pose (without a batch) under an augmentation, or only resized (None).

    size: of the result, pixels.
    """
    if draws is None:
        resize = InPlaneTransform(0.0, np.zeros(2), 0.0)
        return resize.image(image, size), resize.pose(pose)
    image = augment.recolour(image, draws.colours)
    if draws.flip:
        image = np.ascontiguousarray(image[:, ::-1])
        pose = flip_pose(pose)
    transform = draws.transform()
    return transform.image(image, size), transform.pose(pose)


def flip_pose(pose: Pose) -> Pose:
    """The pose in the mirrored image."""
    flipped: Any = (flip_rotation(pose.rotation), flip_translation(pose.translation))
    return Pose(flipped[0], flipped[1], pose.log_scale)


class PoseImageOptions(NamedTuple):
    """How frames of clips become examples."""

    size: int  # of the images, pixels
    plain: bool = False  # without augmentation


class EncodedFrame(NamedTuple):
    """A frame of a clip as its record holds it."""

    frame: bytes  # a JPEG
    pose: Pose | None  # None: unknown


def sample_frame(
    record: Mapping[str, Any], identity: int, rng: np.random.Generator, how: PoseImageOptions
) -> EncodedFrame:
    """A random frame of a record that `pairs.read_record` read."""
    del identity, how
    k = int(rng.integers(len(record["frames"])))
    known = all(len(record[name]) for name in POSE)
    pose = Pose(**{name: record[name][k] for name in POSE}) if known else None
    return EncodedFrame(bytes(record["frames"][k]), pose)


def make_pose_example(
    raw: EncodedFrame,
    size: int,
    how: PoseImageOptions,
    rng: np.random.Generator,
    masks: bool,
    stored: int,
) -> dict[str, np.ndarray]:
    """One example: `image`, uint8, and the parts of its pose by name, where it is known.

    stored: side of the record's images; the example's is `how.size`.
    """
    del masks, size
    zero: Any = (np.zeros(3), np.zeros(3), np.zeros(1))
    known = raw.pose is not None
    image, pose = transformed_image(
        decode_rgb(raw.frame, stored),
        Pose(*zero) if raw.pose is None else raw.pose,
        how.size,
        None if how.plain else sample_pose_augmentation(rng),
    )
    labels = {name: np.asarray(value, np.float32) for name, value in pose._asdict().items()}
    return {"image": image, **(labels if known else {})}
