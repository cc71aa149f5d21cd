"""Pictures of heads, turned, moved and scaled in their plane, with the pose that they then have."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.augment_flip import flip_rotation, flip_translation
from vasa_jax.data_pipeline.loading.pictures import decode_rgb
from vasa_jax.typing import Float, PortraitArray, Pose

POSE = Pose._fields
SPREAD = np.array([0.15, 0.06, 0.06, 0.1])
"""Standard deviations of roll (rad), x, y (half pictures) and log scale."""


class Turn(NamedTuple):
    """A similarity of the picture's plane: p -> exp(log_scale) Rz(roll) p + shift, in half
    pictures about the middle."""

    roll: float
    shift: Float[np.ndarray, "2"]
    log_scale: float

    def matrix(self) -> Float[np.ndarray, "2 2"]:
        """exp(log_scale) Rz(roll)."""
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.exp(self.log_scale) * np.array([[cos, -sin], [sin, cos]])

    def picture(self, image: PortraitArray, size: int) -> PortraitArray:
        """The turned picture at another size, bilinear; its edges go on beyond it."""
        import cv2

        turn = np.linalg.inv(self.matrix())
        small, large = (size - 1) / 2, (image.shape[0] - 1) / 2
        if large > 1.2 * small:  # bilinear samples would skip pixels
            image = cv2.GaussianBlur(image, (0, 0), 0.5 * large / small)
        # Pixel of the result -> half pictures -> half pictures of the original -> its pixel.
        linear = turn * large / small
        offset = large * (1 - turn @ (1 + self.shift))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            image,
            np.column_stack([linear, offset]),
            (size, size),
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def pose(self, pose: Pose) -> Pose:
        """The head's pose (one, without a batch) in the turned picture: R = Rz(roll) Ry Rx and
        M = exp(log_scale) R take the turn from the left."""
        rotation = pose.rotation + np.array([0, 0, self.roll])
        place = np.append(
            self.matrix() @ pose.translation[:2] + self.shift,
            np.exp(self.log_scale) * pose.translation[2],
        )
        return Pose(rotation, place, pose.log_scale + self.log_scale)


def turned_head(
    image: PortraitArray, pose: Pose, size: int, plain: bool, rng: np.random.Generator
) -> tuple[PortraitArray, Pose]:
    """A picture and the pose (one, without a batch) of its head, at random turned, moved, scaled,
    recoloured and in half of the cases mirrored; `plain`: none of it. size: of the result."""
    draws = np.zeros(4) if plain else rng.normal(size=4) * SPREAD
    if not plain:
        image = augment.recolour(image, augment.draw_colours(rng, augment.STRONG))
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            pose = Pose(
                flip_rotation(pose.rotation), flip_translation(pose.translation), pose.log_scale
            )
    turn = Turn(draws[0], draws[1:3], draws[3])
    return turn.picture(image, size), turn.pose(pose)


class Heads(NamedTuple):
    """How frames of clips become examples. size: of the pictures, pixels; plain: as they are."""

    size: int
    plain: bool = False


class RawHead(NamedTuple):
    """A frame of a clip as it lies in its record; pose: None where it is not known."""

    frame: bytes
    pose: Pose | None


def raw_head(
    record: Mapping[str, Any], identity: int, rng: np.random.Generator, how: Heads
) -> RawHead:
    """A random frame of a record that `pairs.read_record` read."""
    del identity, how
    k = int(rng.integers(len(record["frames"])))
    known = all(len(record[name]) for name in POSE)
    pose = Pose(*(record[name][k] for name in POSE)) if known else None
    return RawHead(bytes(record["frames"][k]), pose)


def make_head(
    raw: RawHead, size: int, how: Heads, rng: np.random.Generator, masks: bool, stored: int
) -> dict[str, np.ndarray]:
    """One example: `image` as uint8 and the parts of its pose by name, if it is known.

    stored: side of the pictures in the record; that of the example's is `how.size`.
    """
    del masks, size
    still = Pose(np.zeros(3), np.zeros(3), np.zeros(1))
    known = raw.pose is not None
    image, pose = turned_head(
        decode_rgb(raw.frame, stored), raw.pose if known else still, how.size, how.plain, rng
    )
    labels = {name: np.asarray(value, np.float32) for name, value in pose._asdict().items()}
    return {"image": image, **(labels if known else {})}
