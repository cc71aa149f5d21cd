"""Calls that every experiment makes: pictures to size, motion of pictures, pictures of motion."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.structs import SAME_PERSON, Instruments, Model, Viewed, batches
from vasa_jax.typing import Float, Frames, UInt8


def to_size(frames: Frames, size: int) -> UInt8[np.ndarray, "t {size} {size} 3"]:
    """Square pictures at the model's size; averaged where they shrink."""
    if frames.shape[1] == frames.shape[2] == size:
        return frames
    way = cv2.INTER_AREA if frames.shape[1] > size else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (size, size), interpolation=way) for frame in frames])


def encode_motion(model: Model, frames: Frames) -> Float[np.ndarray, "t m"]:
    """[pose, z_dyn] of pictures by the model's own encoders."""
    encoder = model.motion_encoder
    return encoder(batches(frames, encoder.batch))


def decode(model: Model, portrait: np.ndarray, motion: Float[np.ndarray, "t m"]) -> Frames:
    """One picture per motion on a portrait (s, s, 3)."""
    return np.concatenate(list(model.decode(model.encode(portrait), motion)))


def speak(model: Model, source: Any, motion: Float[np.ndarray, "t m"], controls: Any) -> Frames:
    """`decode` of generated motion, where the portrait's head is, as in `generate`."""
    return np.concatenate(list(model.decode(source, model.stay(source, motion, controls.distance))))


def sample_all(
    model: Model,
    sound: np.ndarray,
    features: np.ndarray,
    controls: Sequence[Any],
    seeds: Sequence[int],
    source: Any,
) -> list[Float[np.ndarray, "t m"]]:
    """Motion of one portrait to the same sound (and its features), once for each wish and seed, as
    many at once as the model takes."""
    found: list[np.ndarray] = []
    for i in range(0, len(controls), model.batch):
        part = slice(i, i + model.batch)
        count = len(controls[part])
        found += model.sample(
            [features] * count,
            controls[part],
            seeds[part],
            sources=[source] * count,
            sounds=[sound] * count,
        )
    return found


def spread(count: int, wanted: int, first: int = 0) -> list[int]:
    """Up to `wanted` different frame numbers, evenly over first..count - 1."""
    return sorted({int(n) for n in np.linspace(first, count - 1, wanted).round()})


def add_identity(
    samples: Samples,
    prefix: str,
    group: str,
    instruments: Instruments,
    ours: Viewed,
    source: Viewed,
    driver: Viewed | None = None,
) -> None:
    """`prefix`.identity_distance and .same_person of pictures against one source picture.

    driver: of each picture, somebody else: adds `prefix`.nearer_source, whether ours is nearer to
    the source than to its driver, which needs no threshold. A picture in which no face is found is
    neither the same person nor nearer; without a face in the source (or driver) nothing can be
    said. Points are read from the pictures themselves.
    """
    if instruments.embed is None:
        return
    one = vectors(instruments, source)
    mine = vectors(instruments, ours)
    distance = np.linalg.norm(mine - one, axis=-1)
    judged = source.readings.found()[0]
    reached = np.nan_to_num(distance, nan=np.inf)
    same = np.where(judged, reached < SAME_PERSON, np.nan)
    samples.add(f"{prefix}.identity_distance", group, distance)
    samples.add(f"{prefix}.same_person", group, same)
    if driver is not None:
        away = np.linalg.norm(mine - vectors(instruments, driver), axis=-1)
        judged = judged & driver.readings.found()
        nearer = reached < np.nan_to_num(away, nan=-np.inf)
        samples.add(f"{prefix}.nearer_source", group, np.where(judged, nearer, np.nan))


def vectors(instruments: Instruments, viewed: Viewed) -> Float[np.ndarray, "t e"]:
    """Identity vectors of pictures; rows of NaN where no face is found."""
    known = viewed.readings.found()
    if not known.any():
        return np.full((len(known), 1), np.nan)
    points = viewed.readings.points[known].astype(np.float32)
    found = np.asarray(instruments.embed(viewed.frames[known], points))
    rows = np.full((len(known), found.shape[-1]), np.nan)
    rows[known] = found
    return rows
