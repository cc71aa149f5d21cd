"""Configurations: frozen dataclasses, the registry of named configs, and typed overrides.

A config is a value: hashable, comparable, printable, and enough to rebuild every network and its
fake inputs, so that `jax.eval_shape` can test the full size without memory.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from vasa_jax.config_text import apply_overrides, build, nearest
from vasa_jax.errors import UserError, require
from vasa_jax.face_config import FaceConfig
from vasa_jax.loss_config import FaceLossConfig
from vasa_jax.typing import ARKIT, EMOTIONS, SAMPLE_RATE

NAMES = ("vasa1", "base256", "demo", "debug")
DEFAULT_NAME = "demo"
REMAT_POLICIES = ("none", "full", "dots")


@dataclass(frozen=True)
class AudioConfig:
    """Which audio encoder turns 16 kHz samples into 25 Hz features (VASA-1 3.2 uses Wav2Vec2).

    variant: base or large for wav2vec2; tiny.en, base, small, … for whisper; empty for mel.
    augment: whether training hears each sound through another room and microphone, where the
    encoder itself is trained (`vasa_jax/audio/augment.py`).
    chunk_seconds: the compiled length. overlap_seconds: context on each inner side of a chunk.
    """

    encoder: str = "wav2vec2"
    variant: str = "base"
    dim: int = 768
    mel_bins: int = 80
    mel_width: int = 192
    mel_blocks: int = 6
    augment: bool = False
    chunk_seconds: float = 20.0
    overlap_seconds: float = 2.0

    def __post_init__(self):
        kinds = ("mel", "wav2vec2", "whisper")
        require(
            self.encoder in kinds,
            f"audio.encoder={self.encoder!r} is not one of {', '.join(kinds)}",
        )
        require(
            self.encoder == "mel" or not self.augment,
            f"audio.augment=true needs audio.encoder=mel, because {self.encoder} is not trained",
        )
        require(
            0 <= 2 * self.overlap_seconds < self.chunk_seconds,
            f"audio.chunk_seconds={self.chunk_seconds:g} must be more than twice "
            f"audio.overlap_seconds={self.overlap_seconds:g}, because a chunk carries that much "
            "context on each side",
        )
        require(
            self.encoder != "whisper" or self.chunk_seconds <= 30,
            f"audio.chunk_seconds={self.chunk_seconds:g} must be at most 30 for Whisper",
        )


@dataclass(frozen=True)
class MotionConfig:
    """The diffusion transformer (VASA-1 3.2: 8 layers, width 512, 8 heads).

    window and context are W and K in 25 fps frames; audio_band is in frames and is used only with
    audio_attention="band". Not published, so the defaults are ours: W, K and the token layout.
    prior: diffuse how far motion is from what the frame before the window says of it
    (`vasa_jax.motion.prior`); off, as in the paper, the motion itself.
    """

    layers: int = 8
    width: int = 512
    heads: int = 8
    ffn_multiple: int = 4
    window: int = 50
    context: int = 10
    gaze_dim: int = 2
    distance_dim: int = 1
    emotion_dim: int = len(EMOTIONS)
    time_conditioning: str = "token"
    audio_attention: str = "full"
    audio_band: int = 2
    attention_backend: str = "xla"
    prior: bool = False

    def __post_init__(self):
        require(
            self.width % self.heads == 0,
            f"motion.width={self.width} must be a multiple of motion.heads={self.heads}",
        )
        require(
            0 < self.context <= self.window,
            f"motion.context={self.context} must lie in 1..motion.window={self.window}",
        )
        require(self.width % 2 == 0, f"motion.width={self.width} must be even (sines and cosines)")
        require(self.audio_band >= 0, f"motion.audio_band={self.audio_band} must not be negative")
        for key, kinds in (
            ("time_conditioning", ("token", "adaln")),
            ("audio_attention", ("full", "band")),
            ("attention_backend", ("xla", "cudnn")),
        ):
            value = getattr(self, key)
            require(
                value in kinds, f"motion.{key}={value!r} is not one of {', '.join(sorted(kinds))}"
            )


@dataclass(frozen=True)
class DiffusionConfig:
    """Noise schedule, sampler and guidance (VASA-1 3.2: 50 steps, lambda_A 0.5, lambda_g 1.0).

    unroll: sampler steps compiled one after another in a trip of the loop. More cost compile time;
    whether they save launches on a device is for `vasa-jax benchmark` to say.
    rest_share: of the training windows that follow a neutral, silent context, as generated clips
    then begin (`vasa_jax/extensions/neutral_context.py`); 0, as in the paper: the null context.
    lips_weight: of the loss on the lips' opening (`vasa_jax/motion/lip_loss.py`), for a z_dyn that
    is the label code; 0, as in the paper.
    """

    timesteps: int = 1000
    schedule: str = "cosine"
    sampler: str = "ddim"
    spacing: str = "trailing"
    steps: int = 50
    unroll: int = 1
    eta: float = 0.0
    guidance_audio: float = 0.5
    guidance_gaze: float = 1.0
    guidance_distance: float = 0.0
    guidance_emotion: float = 0.0
    guidance_context: float = 0.0
    velocity_weight: float = 0.0
    smoothness_weight: float = 0.0
    lips_weight: float = 0.0
    drop_condition: float = 0.1
    drop_context: float = 0.5
    drop_tail: float = 0.1
    rest_share: float = 0.0

    def __post_init__(self):
        require(
            0 < self.steps <= self.timesteps,
            f"diffusion.steps={self.steps} must lie in 1..{self.timesteps}",
        )
        require(self.unroll > 0, f"diffusion.unroll={self.unroll} must be at least 1")
        require(0.0 <= self.eta <= 1.0, f"diffusion.eta={self.eta} must lie in 0..1")
        for key in ("drop_condition", "drop_context", "drop_tail", "rest_share"):
            value = getattr(self, key)
            require(0.0 <= value <= 1.0, f"diffusion.{key}={value} is a chance, so in 0..1")
        for key, kinds in (
            ("schedule", ("cosine", "linear")),
            ("sampler", ("ddim", "dpmpp2m")),
            ("spacing", ("leading", "linspace", "trailing")),
        ):
            value = getattr(self, key)
            require(value in kinds, f"diffusion.{key}={value!r} is not one of {', '.join(kinds)}")


@dataclass(frozen=True)
class InferenceConfig:
    """Fixed shapes of the compiled inference programs."""

    decode_batch: int = 8
    windows_per_call: int = 8


@dataclass(frozen=True)
class TrainConfig:
    """One training stage: optimiser, batch, and how often to log and save.

    batch is the global batch of one step, split into `accumulate` microbatches. Learning rates
    rise linearly over the first `warmup` steps (none of them at 0), then fall as a cosine to
    `final_learning_rate` at `steps` (schedule="constant": stay). clip=0 and ema=0 switch clipping
    and averaging off; ema's decay starts low and rises to its value. remat trades compute for
    memory: "none", "full" (keep only the inputs of each part of the network) or "dots" (also keep
    the results of convolutions and matrix products). Two switches change how fast a step is
    compiled and dispatched, and no number: flat, AdamW on all parameters as one vector (not with
    `mesh.fsdp` or `mesh.tensor`); scan_decodes, stage 1 decodes in a loop
    (`face.forward.decode_each`). Defaults are stage 1's (MegaPortraits, section 4 and appendix).
    """

    steps: int = 300_000
    batch: int = 16
    accumulate: int = 1
    learning_rate: float = 2e-4
    final_learning_rate: float = 1e-6
    warmup: int = 0
    schedule: str = "cosine"
    beta1: float = 0.5
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-2
    clip: float = 0.0
    ema: float = 0.999
    remat: str = "none"
    flat: bool = False
    scan_decodes: bool = False
    seed: int = 0
    log_every: int = 100
    sample_every: int = 2_000
    save_every: int = 2_000
    keep: int = 3

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


def _train_motion() -> TrainConfig:
    """Stage 2: AdamW 1e-4 after 5K steps of warmup, EMA 0.9999, gradients clipped at 1 (ours; the
    paper names none of them)."""
    return TrainConfig(
        steps=200_000,
        batch=64,
        learning_rate=1e-4,
        final_learning_rate=1e-4,
        warmup=5_000,
        schedule="constant",
        beta1=0.9,
        clip=1.0,
        ema=0.9999,
    )


def _train_pose() -> TrainConfig:
    """The head pose encoder alone, before stage 1: ours, since MegaPortraits does not say how it
    pretrains its own."""
    return TrainConfig(
        steps=20_000,
        batch=128,
        learning_rate=1e-3,
        final_learning_rate=3e-5,
        warmup=200,
        beta1=0.9,
        weight_decay=1e-4,
        clip=5.0,
        ema=0.998,
    )


@dataclass(frozen=True)
class MeshConfig:
    """How devices share the training step: data x fsdp x tensor.

    data=-1 takes the devices that fsdp and tensor leave. fsdp shards parameters, optimiser state
    and averages (every array of at least `fsdp_floor` elements); tensor splits channels and heads.
    distributed: join a job of many hosts through `jax.distributed.initialize`.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    fsdp_floor: int = 2**16
    distributed: bool = False

    def __post_init__(self):
        require(self.data == -1 or self.data > 0, f"mesh.data={self.data} must be -1 or positive")
        for key in ("fsdp", "tensor", "fsdp_floor"):
            value = getattr(self, key)
            require(value > 0, f"mesh.{key}={value} must be at least 1")


@dataclass(frozen=True)
class Config:
    """Everything needed to build, train and run one model."""

    name: str
    face: FaceConfig = field(default_factory=FaceConfig)
    face_losses: FaceLossConfig = field(default_factory=FaceLossConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    train_pose: TrainConfig = field(default_factory=_train_pose)
    train_face: TrainConfig = field(default_factory=TrainConfig)
    train_motion: TrainConfig = field(default_factory=_train_motion)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    precision: str = "bf16"

    def __post_init__(self):
        require(
            self.precision in ("bf16", "f32"),
            f"precision={self.precision!r} is not one of bf16, f32",
        )
        require(
            not (self.motion.prior and self.diffusion.guidance_context),
            "diffusion.guidance_context needs motion.prior=false: without the context there is "
            "another prior, and residuals of two priors do not mix",
        )
        require(
            not self.diffusion.lips_weight or self.face.dyn_dim >= len(ARKIT),
            f"diffusion.lips_weight reads ARKit coefficients off z_dyn, and face.dyn_dim="
            f"{self.face.dyn_dim} holds no {len(ARKIT)} of them",
        )
        flat = any(t.flat for t in (self.train_pose, self.train_face, self.train_motion))
        require(
            not flat or self.mesh.fsdp * self.mesh.tensor == 1,
            "train_*.flat keeps parameters as one vector, which mesh.fsdp and mesh.tensor would "
            "split: set both to 1, or flat=false",
        )

    @property
    def dtype(self) -> jnp.dtype:
        """Compute type; parameters, norms, softmax and losses stay float32."""
        return jnp.dtype(jnp.bfloat16 if self.precision == "bf16" else jnp.float32)

    def fake_image(self, batch: int = 1) -> jax.ShapeDtypeStruct:
        """The shape of a batch of aligned portraits in [0, 1]."""
        size = self.face.image_size
        return jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)

    def fake_waveform(self, batch: int = 1, seconds: float = 2.0) -> jax.ShapeDtypeStruct:
        """The shape of a batch of 16 kHz mono clips."""
        return jax.ShapeDtypeStruct((batch, round(seconds * SAMPLE_RATE)), jnp.float32)

    def fake_window(self, batch: int = 1) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes of one window of the diffusion transformer: motion, audio and conditions."""
        f32 = jnp.float32
        w, k, m, a = self.motion.window, self.motion.context, self.face.motion_dim, self.audio.dim
        return {
            "motion": jax.ShapeDtypeStruct((batch, w, m), f32),
            "audio": jax.ShapeDtypeStruct((batch, w, a), f32),
            "motion_context": jax.ShapeDtypeStruct((batch, k, m), f32),
            "audio_context": jax.ShapeDtypeStruct((batch, k, a), f32),
            "gaze": jax.ShapeDtypeStruct((batch, self.motion.gaze_dim), f32),
            "distance": jax.ShapeDtypeStruct((batch, self.motion.distance_dim), f32),
            "emotion": jax.ShapeDtypeStruct((batch, self.motion.emotion_dim), f32),
        }


def get_config(name: str, overrides: Iterable[str] = ()) -> Config:
    """The named config with `a.b=c` overrides applied.

    Raises UserError for an unknown name, an unknown key or a value of the wrong type.
    """
    if name not in NAMES:
        raise UserError(
            f"unknown config {name!r}{nearest(name, NAMES)} (known: {', '.join(NAMES)})"
        )
    config = importlib.import_module(f"vasa_jax.configs.{name}").config()
    return apply_overrides(config, overrides)


def from_dict(data: dict) -> Config:
    """The inverse of `to_dict`; keys that this version lacks raise UserError."""
    return build(Config, data, "config")
