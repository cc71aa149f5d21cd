"""A labelled clip, and its file between the steps of the pipeline.

Axes of every label are the camera's: x to the right of the picture, y down, z away from the camera.
Files are written atomically, so that a run which is started again skips those that are there.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.arrays import read_arrays, write_arrays
from vasa_jax.errors import UserError
from vasa_jax.typing import ARKIT, EMOTIONS, SAMPLES_PER_FRAME, Float, Int

EYE_SPAN = 0.28
"""Distance of the outer eye corners of a frontal head of log_scale 0, in widths of the
picture."""
LANDMARK_UNIT = 8192
"""Units of stored landmarks (int16) in the picture's width or height."""


class Clip(NamedTuple):
    """A talking head of t frames at 25 fps, cropped to a square by one fixed box.

    Unknown labels are None. Axes and angles are the camera's, see above.
    """

    clip_id: str
    identity: str  # of the person; datasets are split by it
    size: int
    frames: list[bytes]  # JPEG, RGB, size x size
    audio: Int[np.ndarray, " n"]  # (t * 640,) int16, mono, 16 kHz
    masks: list[bytes] | None = None  # PNG, grey, 255 is the person
    # Pitch, yaw, roll in radians (`vasa_jax.typing.Pose`); 0 faces the camera.
    rotation: Float[np.ndarray, "t 3"] | None = None
    # Midpoint of the outer eye corners: x and y in [-1, 1] over the picture, z 0.
    translation: Float[np.ndarray, "t 3"] | None = None
    # Logarithm of the head's apparent size over that of a head of `EYE_SPAN`.
    log_scale: Float[np.ndarray, "t 1"] | None = None
    # Yaw (> 0 to the right of the picture) and pitch (> 0 up) of the line of sight in radians; 0, 0
    # looks into the camera. Direction: (sin yaw cos pitch, -sin pitch, -cos yaw cos pitch).
    gaze: Float[np.ndarray, "t 2"] | None = None
    main_gaze: Float[np.ndarray, "2"] | None = None  # the clip's main direction
    distance: Float[np.ndarray, ""] | np.float32 | None = None  # exp(-mean log_scale)
    emotion: Float[np.ndarray, "8"] | None = None  # mean shares of `vasa_jax.typing.EMOTIONS`
    # Fractions of width and height, in ArcFace's order: eye at the left of the picture, eye at its
    # right, nose tip, mouth corners left and right of the picture.
    points: Float[np.ndarray, "t 5 2"] | None = None
    landmarks: Int[np.ndarray, "t p 2"] | None = None  # fractions times `LANDMARK_UNIT`, int16
    arkit: Float[np.ndarray, "t 52"] | None = None  # in the order of `vasa_jax.typing.ARKIT`
    # In the middle of each frame, index into `data_pipeline.phonemes.PHONEMES`; -1 unknown.
    phonemes: Int[np.ndarray, " t"] | None = None
    # No-reference image quality of the clip's worst tenth of frames; higher is better.
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
