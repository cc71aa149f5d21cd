"""The config of CAPP, the metric of audio and head motion (VASA-1, section 4.2).

The paper says: a pose-sequence encoder of 6 transformer layers from random weights, an audio
encoder begun from Wav2Vec2, windows of 3 s, trained as CLIP is. All other values are ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import jax.numpy as jnp

from vasa_jax.config.audio import AudioConfig
from vasa_jax.config.fields import number
from vasa_jax.config.overrides import apply_overrides, build, nearest
from vasa_jax.config.train import (
    MeshConfig,
    TrainConfig,
    require_precision,
    require_unsplit,
    require_whole_batch,
)
from vasa_jax.errors import UserError, require

CAPP_NAMES = ("capp", "capp_synthetic", "capp_debug")
CAPP_DEFAULT = "capp_synthetic"


@dataclass(frozen=True)
class CappNetworkConfig:
    """The two encoders and the space in which they meet."""

    window: int = 75
    """Video frames: 3 s at 25 fps, as in the paper."""
    patch: int = 1
    """Frames in a token of either transformer."""
    layers: int = 6
    """Of the pose encoder, as in the paper."""
    audio_layers: int = number(0, 0)
    """Transformer layers after the speech network."""
    width: int = 512
    heads: int = 8
    ffn_multiple: int = 4
    pooling: str = "mean"
    """mean: over the tokens, then one projection. tokens: every token is projected, and the
    embedding is their concatenation, so that the cosine compares moment by moment."""
    embed: int = 512
    """Dimensions of the embedding; with pooling=tokens those of one token."""

    def __post_init__(self):
        require(
            self.width % self.heads == 0,
            f"capp.width={self.width} must be a multiple of capp.heads={self.heads}",
        )
        require(self.width % 2 == 0, f"capp.width={self.width} must be even (sines and cosines)")
        require(
            self.window >= 2, f"capp.window={self.window} must be at least 2 frames: heads move"
        )
        require(
            self.window % self.patch == 0,
            f"capp.window={self.window} must be a multiple of capp.patch={self.patch}",
        )
        require(
            self.pooling in ("mean", "tokens"),
            f"capp.pooling={self.pooling!r} is not one of mean, tokens",
        )


@dataclass(frozen=True)
class CappTrainConfig(TrainConfig):
    """Training of CAPP. Negatives are all other pairs of the batch, over all devices."""

    steps: int = 100_000
    batch: int = 512
    learning_rate: float = 5e-4
    final_learning_rate: float = 1e-6
    warmup: int = number(2_000, 0)
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-6
    weight_decay: float = 0.2
    clip: float = 1.0
    ema: float = 0.999
    group: int = 4
    """Windows of one clip in a batch: negatives that a voice or a manner of moving cannot tell
    apart, only the time."""
    least_shift: int = 2
    """Frames between the beginnings of such windows, at least."""
    freeze_audio: bool = False
    """Leave the pretrained speech network as it is; exported weights then lack it."""
    augment_audio: bool = False
    """Sound through random rooms and microphones (`vasa_jax.audio.augment`)."""
    pose_noise: float = 0.0
    """Largest standard deviation of what is added to each angle of each frame, radians; each window
    draws its own, from 0 on. A face tracker adds as much to real videos."""
    amplitude_negatives: int = number(0, 0)
    """Weight, in negatives, of one more negative a window: its own pose with an amplitude that is
    far from the true one. 0: none, as in the paper."""

    def __post_init__(self):
        super().__post_init__()
        require_whole_batch(self, "train_capp")


@dataclass(frozen=True)
class CappConfig:
    """Everything needed to build, train and run CAPP."""

    name: str
    capp: CappNetworkConfig = field(default_factory=CappNetworkConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    train_capp: CappTrainConfig = field(default_factory=CappTrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    precision: str = "bf16"

    def __post_init__(self):
        require_precision(self.precision)
        require(
            not (self.train_capp.freeze_audio and self.audio.encoder == "mel"),
            "train_capp.freeze_audio=true needs a pretrained audio.encoder, wav2vec2 or whisper: "
            "mel begins from random weights",
        )
        require(
            self.audio.encoder != "whisper" or self.capp.window <= 750,
            f"capp.window={self.capp.window} must be at most 750 frames (30 s) for Whisper",
        )
        require_unsplit(self.train_capp.flat, "train_capp", self.mesh)

    @property
    def dtype(self) -> jnp.dtype:
        """Compute type; parameters, norms, softmax and losses stay float32."""
        return jnp.dtype(jnp.bfloat16 if self.precision == "bf16" else jnp.float32)


def get_capp_config(name: str, overrides: Iterable[str] = ()) -> CappConfig:
    """The named config with `a.b=c` overrides applied. Raises UserError as `get_config` does.

    capp: the paper's, with Wav2Vec2. capp_synthetic: what ships, small and with log-mel, for an
    hour of synthetic heads. capp_debug: for tests.
    """
    if name not in CAPP_NAMES:
        raise UserError(
            f"unknown config {name!r} of CAPP{nearest(name, CAPP_NAMES)} (known: "
            f"{', '.join(CAPP_NAMES)})"
        )
    return apply_overrides(_MAKE[name](), overrides)


def capp_from_dict(data: dict) -> CappConfig:
    """The inverse of `to_dict`. Raises UserError for keys that this version lacks."""
    return build(CappConfig, data, "config")


def _synthetic() -> CappConfig:
    return CappConfig(
        "capp_synthetic",
        CappNetworkConfig(
            patch=3,
            audio_layers=2,
            width=128,
            heads=4,
            ffn_multiple=2,
            pooling="tokens",
            embed=24,
        ),
        AudioConfig(encoder="mel", variant="", dim=128, mel_width=128, mel_blocks=6),
        CappTrainConfig(
            steps=500,
            batch=64,
            learning_rate=2e-3,
            final_learning_rate=2e-5,
            warmup=40,
            weight_decay=0.05,
            ema=0.98,
            augment_audio=True,
            pose_noise=0.002,
            amplitude_negatives=4,
            log_every=20,
            save_every=50,
            sample_every=100_000,
            keep=3,
        ),
        precision="f32",
    )


def _debug() -> CappConfig:
    return CappConfig(
        "capp_debug",
        CappNetworkConfig(
            layers=2, audio_layers=1, width=16, heads=2, ffn_multiple=2, pooling="tokens", embed=4
        ),
        AudioConfig(encoder="mel", variant="", dim=16, mel_bins=20, mel_width=16, mel_blocks=1),
        CappTrainConfig(
            steps=20,
            batch=8,
            learning_rate=3e-3,
            warmup=2,
            group=2,
            ema=0.9,
            log_every=5,
            save_every=10,
            sample_every=100_000,
            keep=2,
        ),
        MeshConfig(fsdp_floor=2**10),
        precision="f32",
    )


_MAKE = {
    "capp": lambda: CappConfig("capp"),
    "capp_synthetic": _synthetic,
    "capp_debug": _debug,
}
