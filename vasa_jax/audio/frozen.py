"""A frozen pretrained audio encoder: features of whole clips, and their cache on disk.

Wav2Vec2 and Whisper attend to all of a chunk and normalise over the clip, so that a stretch of
sound heard by itself gives other features than the same stretch within its clip. Whoever needs
features of a stretch encodes the clip by `chunks.encode_clip`, as inference does, and slices.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from vasa_jax.audio.build import build_audio_encoder
from vasa_jax.audio.chunks import encode_clip
from vasa_jax.audio.weights import load_audio_weights
from vasa_jax.config import Config
from vasa_jax.media.files import write_whole
from vasa_jax.typing import Float

STORE = "audio_features"
"""Folder beside clips that holds the features of their sound."""


class FrozenEncoder(NamedTuple):
    """A frozen audio encoder."""

    identity: str  # names what decides about the features: weights, chunks, precision
    # 16 kHz samples of a whole clip (n,) -> its features at 25 Hz (ceil(n / 640), a), float32.
    encode: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, "t a"]]


def load_frozen_encoder(config: Config, weights: Path) -> FrozenEncoder:
    """The pretrained encoder that `config.audio` names, with the weights of a published file.

    Raises UserError for files that `load_audio_weights` refuses.
    """
    network = build_audio_encoder(config.audio, config.dtype)
    params = jax.device_put(load_audio_weights(network, weights))
    return FrozenEncoder(
        features_identity(config, weights),
        lambda wave: encode_clip(network, {"params": params}, wave, config.audio),
    )


def features_identity(config: Config, weights: Path) -> str:
    """`FrozenEncoder.identity` of a config with the weights of a readable file."""
    audio = config.audio
    words = f"{audio.chunk_seconds:g} {audio.overlap_seconds:g} {config.precision} "
    with open(weights, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256((words + digest).encode()).hexdigest()[:16]


def stored_features(
    encoder: FrozenEncoder, waveform: Float[np.ndarray, " n"], folder: Path
) -> Float[np.ndarray, "t a"]:
    """`encoder.encode`, once for a sound: later calls read it from `folder`/audio_features.

    Files are named by the encoder and the samples, so that a changed clip or other weights never
    meet features that are not theirs. A damaged file is made anew. Raises UserError for sound that
    cannot be encoded and a folder that cannot be written.
    """
    name = hashlib.sha256(np.ascontiguousarray(waveform).data).hexdigest()[:32]
    path = Path(folder) / STORE / encoder.identity / name[:2] / f"{name}.npy"
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        pass  # none yet, or cut short
    features = encoder.encode(waveform)
    content = io.BytesIO()
    np.save(content, features, allow_pickle=False)
    write_whole(path, "audio features", content.getvalue())
    return features
