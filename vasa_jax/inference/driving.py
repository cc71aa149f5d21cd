"""Motion out of a video: head pose and facial dynamics of the person in it, frame by frame."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from vasa_jax.angles import euler_angles, rotation_matrices
from vasa_jax.errors import UserError
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.portrait import Crop, apply_crop, choose_face, crop_portrait
from vasa_jax.media.video import read_video
from vasa_jax.perception.face_detector import detect_faces
from vasa_jax.typing import FPS, LOG_SCALE, ROTATION, TRANSLATION, Float, Frames, Pose

SEARCH_SECONDS = 2
"""How far into a clip a face is looked for."""


def driving_motion(
    path: Path, pipeline: Pipeline, limit: int | None = None
) -> Float[np.ndarray, "t m"]:
    """[pose, z_dyn] of up to `limit` frames at 25 fps; see `driving_crops` for what is seen."""
    encoder = pipeline.motion_encoder
    return encoder(driving_crops(path, pipeline.config.face.image_size, encoder.batch, limit))


def relative_motion(motion: Float[np.ndarray, "t m"], start: Pose) -> Float[np.ndarray, "t m"]:
    """The same motion with the head's turn, place and size as changes since the first frame.

    The first frame has the pose `start` (b = 1); R_t = R_d,t R_d,0^T R_start, shifts count in sizes
    of the head. What an encoder takes a driver's head for, wrongly (level, or near), cancels: only
    changes are taken over. Facial dynamics stay as they are.
    """
    first, moved = motion[0], np.array(motion)
    turns = rotation_matrices(motion[:, ROTATION]) @ rotation_matrices(first[ROTATION]).T
    moved[:, ROTATION] = euler_angles(turns @ rotation_matrices(np.asarray(start.rotation)[0]))
    begin = np.asarray(start.log_scale)[0]
    shifts = np.exp(begin - first[LOG_SCALE]) * (motion[:, TRANSLATION] - first[TRANSLATION])
    moved[:, TRANSLATION] = np.asarray(start.translation)[0] + shifts
    moved[:, LOG_SCALE] = begin + motion[:, LOG_SCALE] - first[LOG_SCALE]
    return moved


def driving_crops(path: Path, size: int, batch: int, limit: int | None = None) -> Iterator[Frames]:
    """Batches of up to `batch` frames at 25 fps, cut to size x size around the face; a stream.

    The crop box is that of the first frame with a face and stays for the whole clip: a box that
    followed the face would take the head's own motion away. Raises UserError for an unreadable
    video or one without a face in its first two seconds.
    """
    frames = islice(read_video(path), limit)
    head = list(islice(frames, SEARCH_SECONDS * FPS))
    crop = _first_crop(path, head, size)
    rest = chain(head, frames)
    while found := [apply_crop(frame, crop) for frame in islice(rest, batch)]:
        yield np.stack(found)


def _first_crop(path: Path, frames: list[np.ndarray], size: int) -> Crop:
    for frame in frames:
        if faces := detect_faces(frame):
            return crop_portrait(frame, choose_face(faces)[0], size)
    raise UserError(f"{path}: no face found in the first {SEARCH_SECONDS} seconds; give a video "
                    "that shows one from its start")  # fmt: skip
