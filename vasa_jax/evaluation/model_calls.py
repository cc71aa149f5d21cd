"""Model calls shared by the experiments: encode motion, decode it, generate it from audio."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from vasa_jax.evaluation.types import Model
from vasa_jax.typing import Float, Frames, UInt8


def to_size(frames: Frames, size: int) -> UInt8[np.ndarray, "t {size} {size} 3"]:
    """Square frames resized to `size` pixels: by area where they shrink, else bicubic."""
    if frames.shape[1] == frames.shape[2] == size:
        return frames
    way = cv2.INTER_AREA if frames.shape[1] > size else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (size, size), interpolation=way) for frame in frames])


def encode_motion(model: Model, frames: Frames) -> Float[np.ndarray, "t m"]:
    """[pose, z_dyn] of frames by the model's own encoders."""
    encoder = model.motion_encoder
    return encoder(frames[i : i + encoder.batch] for i in range(0, len(frames), encoder.batch))


def decode(model: Model, portrait: np.ndarray, motion: Float[np.ndarray, "t m"]) -> Frames:
    """One frame for each motion vector, of a portrait (s, s, 3)."""
    return decode_source(model, model.encode(portrait), motion)


def decode_source(model: Model, source: Any, motion: Float[np.ndarray, "t m"]) -> Frames:
    """One frame for each motion vector, of an encoded portrait."""
    return np.concatenate(list(model.decode(source, motion)))


def generate_all(
    model: Model,
    waveform: np.ndarray,
    features: np.ndarray,
    controls: Sequence[Any],
    seeds: Sequence[int],
    source: Any,
) -> list[Float[np.ndarray, "t m"]]:
    """Motion of one portrait and one audio clip for each pair of controls and seed.

    Batched by `model.batch`.
    """
    found: list[np.ndarray] = []
    for i in range(0, len(controls), model.batch):
        part = slice(i, i + model.batch)
        count = len(controls[part])
        found += model.generate_motion(
            [source] * count,
            [features] * count,
            controls[part],
            seeds[part],
            sounds=[waveform] * count,
        )
    return found


def evenly_spaced(count: int, wanted: int, first: int = 0) -> list[int]:
    """Up to `wanted` different frame numbers, evenly spaced over first..count - 1."""
    return sorted({int(n) for n in np.linspace(first, count - 1, wanted).round()})
