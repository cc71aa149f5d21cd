"""Motion from a video: head pose and facial dynamics of the person in it, frame by frame."""

from pathlib import Path

import numpy as np

from vasa_jax.angles import euler_angles, rotation_matrices
from vasa_jax.inference.driver import Driver
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.typing import LOG_SCALE, ROTATION, TRANSLATION, Float, Pose, Source


def driving_motion(
    path: Path, pipeline: Pipeline, limit: int | None = None, report: Reporter | None = None
) -> Float[np.ndarray, "t m"]:
    """[pose, z_dyn] of up to `limit` frames at 25 fps, and notes to `report`; see `Driver`."""
    encoder = pipeline.motion_encoder
    driver = Driver(path, pipeline.config.face.image_size, encoder.batch, limit)
    motion = driver.motion(encoder(driver))
    if report is not None:
        for note in driver.notes():
            report.note(f"{path.name}: {note}")
    return motion


def relative_motion(motion: Float[np.ndarray, "t m"], start: Pose) -> Float[np.ndarray, "t m"]:
    """The same motion with head rotation, translation and size relative to the first frame.

    The first frame gets the pose `start` (b = 1): R_t = R_d,t R_d,0^T R_start, and translations are
    scaled by the heads' sizes. A constant error of the encoder in the driver's pose cancels. Facial
    dynamics stay as they are.
    """
    first, moved = motion[0], np.array(motion)
    turns = rotation_matrices(motion[:, ROTATION]) @ rotation_matrices(first[ROTATION]).T
    moved[:, ROTATION] = euler_angles(turns @ rotation_matrices(np.asarray(start.rotation)[0]))
    begin = np.asarray(start.log_scale)[0]
    shifts = np.exp(begin - first[LOG_SCALE]) * (motion[:, TRANSLATION] - first[TRANSLATION])
    moved[:, TRANSLATION] = np.asarray(start.translation)[0] + shifts
    moved[:, LOG_SCALE] = begin + motion[:, LOG_SCALE] - first[LOG_SCALE]
    return moved


def head_pose(source: Source) -> Pose:
    """The portrait's own pose. Raises ValueError for a source that was built without it."""
    if source.pose is None:
        raise ValueError("this source has no head pose: encode the portrait by `Pipeline.encode`")
    return source.pose
