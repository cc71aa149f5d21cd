"""A labelled clip, and its file between the steps of the pipeline.

Axes of every label are the camera's: x to the right of the picture, y down, z away from the camera.
A file is written whole or not at all, so a folder of them is a restartable run's memory.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.arrays import read_arrays, write_arrays
from vasa_jax.errors import UserError
from vasa_jax.typing import ARKIT, EMOTIONS, SAMPLES_PER_FRAME, Float, Int

EYE_SPAN = 0.28
"""Width of a head of log_scale 0: its outer eye corners, seen from the front, are this share of the
picture's width apart."""
LANDMARK_UNIT = 8192
"""Landmarks are stored as int16, in this part of the picture's width or height."""


class Clip(NamedTuple):
    """A talking head of t frames at 25 fps, cropped to a square by one fixed box.

    Whatever is not known is None. frames: JPEG bytes (RGB, size x size). audio: (t * 640,) int16,
    mono, 16 kHz. masks: PNG bytes (grey, 255 is the person). identity names the person; a data set
    is split by it.

    rotation (t, 3), translation (t, 3), log_scale (t, 1): head pose in the convention of
        `vasa_jax.typing.Pose` (R = Rz(roll) Ry(yaw) Rx(pitch), stored pitch, yaw, roll, radians):
        0 faces the camera. translation: where the middle between the eyes' outer corners lies, x
        and y in [-1, 1] over the picture, z 0. log_scale: logarithm of the head's apparent size
        over a head whose outer eye corners would be `EYE_SPAN` apart when seen from the front.
    gaze: (t, 2) yaw and pitch in radians of the line of sight against the camera's axes: 0, 0 looks
        into the camera, yaw > 0 to the right of the picture, pitch > 0 up; the direction is
        (sin yaw cos pitch, -sin pitch, -cos yaw cos pitch).
    main_gaze: (2,) the clip's main direction. distance: head to camera, exp(-mean log_scale).
    emotion: (8,) shares in the order of `vasa_jax.typing.EMOTIONS`, the clip's mean.
    points: (t, 5, 2) face points in ArcFace's order (the eye at the left of the picture, the one at
        its right, nose tip, mouth corners left and right of the picture), shares of width and
        height. landmarks: (t, p, 2) further points, likewise, times `LANDMARK_UNIT`, int16.
    arkit: (t, 52) coefficients in the order of `vasa_jax.typing.ARKIT`.
    phonemes: (t,) what is spoken in the middle of the frame, an index into
        `vasa_jax.data_pipeline.phonemes.PHONEMES`, -1 unknown.
    quality: blind image quality, higher is better, of the clip's worst tenth.
    """

    clip_id: str
    identity: str
    size: int
    frames: list[bytes]
    audio: Int[np.ndarray, " n"]
    masks: list[bytes] | None = None
    rotation: Float[np.ndarray, "t 3"] | None = None
    translation: Float[np.ndarray, "t 3"] | None = None
    log_scale: Float[np.ndarray, "t 1"] | None = None
    gaze: Float[np.ndarray, "t 2"] | None = None
    main_gaze: Float[np.ndarray, "2"] | None = None
    distance: Float[np.ndarray, ""] | np.float32 | None = None
    emotion: Float[np.ndarray, "8"] | None = None
    points: Float[np.ndarray, "t 5 2"] | None = None
    landmarks: Int[np.ndarray, "t p 2"] | None = None
    arkit: Float[np.ndarray, "t 52"] | None = None
    phonemes: Int[np.ndarray, " t"] | None = None
    quality: Float[np.ndarray, ""] | np.float32 | None = None


PER_FRAME = {
    "rotation": (3,),
    "translation": (3,),
    "log_scale": (1,),
    "gaze": (2,),
    "points": (5, 2),
    "arkit": (len(ARKIT),),
}
PER_CLIP = {"main_gaze": (2,), "distance": (), "emotion": (len(EMOTIONS),), "quality": ()}
INTEGER = {"landmarks": (None, 2), "phonemes": ()}
"""The optional arrays of a clip and the shape of one of their rows: float32 (per frame and per
clip), and int16 (per frame)."""


def check_clip(clip: Clip) -> None:
    """Raises ValueError for arrays of another shape or type, or that are not finite."""
    count = len(clip.frames)
    if not count or clip.audio.shape != (count * SAMPLES_PER_FRAME,):
        raise ValueError(f"{clip.clip_id}: {count} frames and {clip.audio.shape} samples")
    if clip.audio.dtype != np.int16:
        raise ValueError(f"{clip.clip_id}: audio is {clip.audio.dtype}, not int16")
    if clip.masks is not None and len(clip.masks) != count:
        raise ValueError(f"{clip.clip_id}: {count} frames and {len(clip.masks)} masks")
    for table, leading, kind in (
        (PER_FRAME, (count,), np.float32),
        (PER_CLIP, (), np.float32),
        (INTEGER, (count,), np.int16),
    ):
        for name, row in table.items():
            value = getattr(clip, name)
            if value is None:
                continue
            shape = leading + tuple(value.shape[1] if n is None else n for n in row)
            if value.dtype != kind or value.shape != shape:
                raise ValueError(
                    f"{clip.clip_id}: {name} is {value.dtype} {value.shape}, not "
                    f"{np.dtype(kind)} {shape}"
                )
            if not np.isfinite(value).all():
                raise ValueError(f"{clip.clip_id}: {name} is not finite")


def write_clip(path: Path, clip: Clip) -> None:
    """One .npz file, uncompressed (the pictures are compressed already), whole or not at all."""
    check_clip(clip)
    arrays = {k: v for k, v in clip._asdict().items() if isinstance(v, np.ndarray | np.generic)}
    arrays |= {name: np.array(getattr(clip, name)) for name in ("clip_id", "identity", "size")}
    write_arrays(path, "clip", arrays, {"frames": clip.frames, "masks": clip.masks})


def read_clip(path: Path) -> Clip:
    """The clip of a file. Raises UserError for one that cannot be read, naming it."""
    try:
        arrays, pictures = read_arrays(path, ("frames", "masks"))
        fields: dict[str, Any] = {**arrays, **pictures}
        for name, kind in (("clip_id", str), ("identity", str), ("size", int)):
            fields[name] = kind(arrays[name])
        clip = Clip(**fields)
        check_clip(clip)
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise UserError(f"{path}: is not a readable clip ({error}); make it anew") from None
    return clip
