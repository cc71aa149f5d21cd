"""The config of `av_sync`, the audio-lip sync network, an instrument that VASA-1 does not have."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from vasa_jax.config.fields import number
from vasa_jax.config.overrides import apply_overrides, build, nearest
from vasa_jax.config.train import MeshConfig, TrainConfig, require_unsplit, require_whole_batch
from vasa_jax.errors import UserError, require

SYNC_NAMES = ("av_sync", "av_sync_debug")
SYNC_DEFAULT = "av_sync"


@dataclass(frozen=True)
class SyncNetworkConfig:
    """Two temporal convolution networks, of lips and of sound, into one space."""

    dim: int = 64
    """Of the space."""
    width: int = 96
    blocks: int = 3
    kernel: int = 5
    """Frames; an embedding sees blocks * (kernel // 2) frames to either side of its own."""
    mel_bins: int = 40

    def __post_init__(self):
        require(self.kernel % 2 == 1, f"sync.kernel={self.kernel} must be odd")


@dataclass(frozen=True)
class SyncTrainConfig(TrainConfig):
    """Training by contrast with the sound of other times and of other clips.

    Few steps, since the corpus is of minutes: on 20 of them longer runs find the offset of unheard
    voices less often in clips of 2 s.
    """

    steps: int = 800
    batch: int = 32
    learning_rate: float = 2e-3
    final_learning_rate: float = 2e-5
    warmup: int = number(50, 0)
    beta1: float = 0.9
    weight_decay: float = 1e-2
    clip: float = 1.0
    ema: float = 0.998
    save_every: int = 100
    sample_every: int = 1_000_000
    window: int = 45
    """Frames of lips in an example."""
    shift: int = 15
    """Frames that the sound is shifted to either side: the negatives of the same clip."""
    shortest: int = 5
    """Frames that are compared, at the least."""
    longest: int = 25
    """At the most."""
    augment: bool = True
    """Speed, amplitude, noise and gaps of the landmarks, channel and noise of the sound."""
    variants: int = 4
    """Of each clip by speed and channel, where `augment` is true."""

    def __post_init__(self):
        super().__post_init__()
        require(
            self.shortest <= self.longest <= self.window,
            f"train_sync: shortest={self.shortest}, longest={self.longest}, window={self.window} "
            "must not decrease in this order",
        )
        require_whole_batch(self, "train_sync")


@dataclass(frozen=True)
class SyncConfig:
    """Everything needed to build, train and run `av_sync`."""

    name: str
    sync: SyncNetworkConfig = field(default_factory=SyncNetworkConfig)
    train_sync: SyncTrainConfig = field(default_factory=SyncTrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    precision: str = "f32"

    def __post_init__(self):
        require(
            self.precision == "f32",
            f"precision={self.precision!r}: the sync network is small and computes in f32 alone",
        )
        require_unsplit(self.train_sync.flat, "train_sync", self.mesh)


def get_sync_config(name: str, overrides: Iterable[str] = ()) -> SyncConfig:
    """The named config with `a.b=c` overrides applied. Raises UserError as `get_config` does.

    av_sync: what ships. av_sync_debug: for tests.
    """
    if name not in SYNC_NAMES:
        raise UserError(
            f"unknown config {name!r} of the sync network{nearest(name, SYNC_NAMES)} (known: "
            f"{', '.join(SYNC_NAMES)})"
        )
    return apply_overrides(_debug() if name == "av_sync_debug" else SyncConfig(name), overrides)


def sync_from_dict(data: dict) -> SyncConfig:
    """The inverse of `to_dict`. Raises UserError for keys that this version lacks."""
    return build(SyncConfig, data, "config")


def _debug() -> SyncConfig:
    return SyncConfig(
        "av_sync_debug",
        SyncNetworkConfig(dim=8, width=16, blocks=1, kernel=3, mel_bins=8),
        SyncTrainConfig(
            steps=20,
            batch=8,
            warmup=2,
            ema=0.9,
            window=12,
            shift=4,
            longest=8,
            variants=2,
            log_every=5,
            save_every=10,
            keep=2,
        ),
        MeshConfig(fsdp_floor=2**10),
    )
