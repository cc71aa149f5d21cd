"""The training sections of a config: one class for each stage, and the mesh of devices."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vasa_jax.config.fields import number
from vasa_jax.errors import require

REMAT_POLICIES = ("none", "full", "dots")


@dataclass(frozen=True)
class TrainConfig:
    """One training stage: optimiser, batch, and how often to log and save.

    Defaults are stage 1's (MegaPortraits, section 4 and appendix).
    """

    steps: int = 300_000
    batch: int = 16
    """Of one step, over all devices and hosts."""
    accumulate: int = 1
    """Microbatches that a batch is split into."""
    learning_rate: float = 2e-4
    """Of AdamW; reached after `warmup` steps of linear growth."""
    final_learning_rate: float = 1e-6
    """At `steps`, after a cosine."""
    warmup: int = number(0, 0)
    schedule: str = "cosine"
    """cosine or constant."""
    beta1: float = 0.5
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-2
    clip: float = 0.0
    """Largest norm of the gradients; 0: not clipped."""
    ema: float = 0.999
    """Decay of the averaged parameters, lower during the first steps; 0: not averaged."""
    remat: str = "none"
    """Trades compute for memory: none, full (keep only the inputs of each part of the network) or
    dots (keep the results of convolutions and matrix products, too)."""
    flat: bool = False
    """AdamW on all parameters as one vector: the same numbers, faster to compile and to dispatch.
    Not with `mesh.fsdp` or `mesh.tensor`."""
    seed: int = number(0, 0)
    log_every: int = 100
    sample_every: int = 2_000
    save_every: int = 2_000
    keep: int = 3
    """Checkpoints."""

    def __post_init__(self):
        for key in (
            "steps",
            "batch",
            "accumulate",
            "log_every",
            "sample_every",
            "save_every",
            "keep",
        ):
            value = getattr(self, key)
            require(value > 0, f"train: {key}={value} must be at least 1")
        require(
            self.batch % self.accumulate == 0,
            f"train: batch={self.batch} must be a multiple of accumulate={self.accumulate}",
        )
        require(self.warmup >= 0, f"train: warmup={self.warmup} must not be negative")
        require(self.learning_rate > 0, f"train: learning_rate={self.learning_rate} must be > 0")
        require(self.clip >= 0, f"train: clip={self.clip} must not be negative (0 is off)")
        require(0 <= self.ema < 1, f"train: ema={self.ema} must lie in 0..1, 1 excluded")
        for key, kinds in (("schedule", ("constant", "cosine")), ("remat", REMAT_POLICIES)):
            value = getattr(self, key)
            require(value in kinds, f"train: {key}={value!r} is not one of {', '.join(kinds)}")


@dataclass(frozen=True)
class PoseTrainConfig(TrainConfig):
    """The head pose encoder alone, before stage 1: ours, since MegaPortraits does not say how it
    pretrains its own."""

    steps: int = 20_000
    batch: int = 128
    learning_rate: float = 1e-3
    final_learning_rate: float = 3e-5
    warmup: int = number(200, 0)
    beta1: float = 0.9
    weight_decay: float = 1e-4
    clip: float = 5.0
    ema: float = 0.998


@dataclass(frozen=True)
class FaceTrainConfig(TrainConfig):
    """Stage 1."""

    freeze_pose: bool = False
    """Leave the head pose encoder as it is (MegaPortraits); gradients still pass through it."""
    freeze_dyn: bool = False
    """The same of the dynamics encoder."""
    scan_decodes: bool = False
    """Decode in a loop (`face.forward.decode_each`): the same numbers, faster to compile, slower on
    a CPU."""
    arkit_code: bool = False
    """Extension: z_dyn is given by ARKit and gaze labels (`vasa_jax.extensions.arkit_code`)
    instead of by the encoder."""
    encoded_source: bool = False
    """Extension: with `arkit_code`, a source's z_dyn is encoded even so, as at inference."""


@dataclass(frozen=True)
class MotionTrainConfig(TrainConfig):
    """Stage 2. The paper gives no optimiser and no dropout rates; the former is ours, the latter
    are common for classifier-free guidance."""

    steps: int = 200_000
    batch: int = 64
    learning_rate: float = 1e-4
    final_learning_rate: float = 1e-4
    warmup: int = number(5_000, 0)
    schedule: str = "constant"
    beta1: float = 0.9
    clip: float = 1.0
    ema: float = 0.9999
    drop_condition: float = 0.1
    """Chance that a condition is dropped, each by itself."""
    drop_context: float = 0.5
    """Chance that X_pre and A_pre are dropped."""
    drop_tail: float = 0.1
    """Chance that the audio's last frames are dropped."""
    velocity_weight: float = 0.0
    """Of the squared error of first differences (DiffPoseTalk, 3.3); off in the paper."""
    smoothness_weight: float = 0.0
    """Of the prediction's squared second differences (DiffPoseTalk, 3.3); off in the paper."""
    lips_weight: float = 0.0
    """Extension: of the error of the lips' opening (`vasa_jax.extensions.lip_loss`), for a z_dyn
    that is the ARKit code."""
    augment_audio: bool = False
    """Extension: sound through random rooms and microphones, where the encoder is trained."""

    def __post_init__(self):
        super().__post_init__()
        for key in ("drop_condition", "drop_context", "drop_tail"):
            value = getattr(self, key)
            require(0.0 <= value <= 1.0, f"train_motion.{key}={value} is a chance, so in 0..1")


@dataclass(frozen=True)
class MeshConfig:
    """How devices share the training step: data x fsdp x tensor.

    data=-1 takes the devices that fsdp and tensor leave. fsdp shards parameters, optimiser state
    and averages (every array of at least `fsdp_floor` elements); tensor splits channels and heads.
    distributed: join a job of many hosts through `jax.distributed.initialize`.
    """

    data: int = number(-1, -1)
    fsdp: int = 1
    tensor: int = 1
    fsdp_floor: int = 2**16
    distributed: bool = False

    def __post_init__(self):
        require(self.data == -1 or self.data > 0, f"mesh.data={self.data} must be -1 or positive")
        for key in ("fsdp", "tensor", "fsdp_floor"):
            value = getattr(self, key)
            require(value > 0, f"mesh.{key}={value} must be at least 1")


@runtime_checkable
class RunConfig(Protocol):
    """What the training loop reads of a config: `Config`, or that of a network of its own, such as
    a metric's."""

    @property
    def name(self) -> str: ...

    @property
    def mesh(self) -> MeshConfig: ...

    @property
    def precision(self) -> str: ...


def require_precision(precision: str) -> None:
    """Raise UserError unless it is a compute type that training has."""
    require(precision in ("bf16", "f32"), f"precision={precision!r} is not one of bf16, f32")


def require_unsplit(flat: bool, section: str, mesh: MeshConfig) -> None:
    """Raise UserError where flat parameters would be split. section: "train_face", for instance."""
    require(
        not flat or mesh.fsdp * mesh.tensor == 1,
        f"{section}.flat keeps parameters as one vector, which mesh.fsdp and mesh.tensor would "
        "split: set both to 1, or flat=false",
    )


def require_whole_batch(train: TrainConfig, section: str) -> None:
    """Raise UserError where a contrastive loss would see the negatives of microbatches alone."""
    require(
        train.accumulate == 1,
        f"{section}.accumulate={train.accumulate} must be 1: the whole batch's negatives "
        f"count, and microbatches would see only their own; lower {section}.batch, or set "
        f"{section}.remat=full",
    )
