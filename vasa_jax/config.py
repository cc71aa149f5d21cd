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
from vasa_jax.errors import UserError
from vasa_jax.loss_config import FaceLossConfig
from vasa_jax.typing import EMOTIONS, POSE_DIM, SAMPLE_RATE

NAMES = ("vasa1", "base256", "demo", "debug")
WARP_SEED_DEPTH = 4
"""Depth of the volume that a warp field grows from (MegaPortraits: 4 x 4 x 4)."""
DEFAULT_NAME = "demo"
REMAT_POLICIES = ("none", "full", "dots")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


@dataclass(frozen=True)
class FaceConfig:
    """The face latent model (VASA-1 3.1; layer widths from MegaPortraits' Figures 9 and 10).

    The defaults are the paper's size: 512 px, volume 96 x 16 x 64 x 64, about 204M parameters.
    dyn_crop: 0 (the paper): the dynamics encoder sees the whole picture at motion_image_size; else
    a crop of that many pixels, in which the predicted head pose holds eyes and mouth in place.
    warp_size: voxels of a displacement field's height and width, enlarged linearly to a larger
    volume's; 0 (the paper): the volume's.
    network_size: side of the picture that the networks see and draw, pixels, in a larger picture of
    moved pixels of the portrait (needs compose); 0 (the paper), or a smaller picture: image_size.
    The motion encoders see the larger one at sizes of their own.
    compose: whether the picture is put together from the portrait's own pixels, moved along the
    warps or left in place, and drawn ones (`face/compose.py`); the paper draws all of them.
    compose_context: channels of what the decoder is told about the portrait: what lies where it
    draws, what is moved there, and how far (needs compose); 0: nothing.
    compose_plate: whether the portrait with the person taken out, background filled in, is one more
    of the layers that make the picture (`face/plate.py`; needs compose).
    decoder_dyn: whether the decoder's norms are adapted by z_dyn and z_id, as the warps' are; in
    the paper dynamics act by warps alone.
    dyn_maps: height and width of learned maps, one for each entry of z_dyn, of what it displaces
    and changes in the canonical volume (`face/dyn_maps.py`); 0 (the paper): none.
    """

    image_size: int = 512
    network_size: int = 0
    appearance_stem: int = 64
    appearance_widths: tuple[int, ...] = (128, 256, 512)
    appearance_blocks_3d: int = 6
    volume_channels: int = 96
    volume_depth: int = 16
    identity_width: int = 64
    identity_depths: tuple[int, ...] = (3, 4, 6, 3)
    identity_image_size: int = 256
    motion_width: int = 64
    motion_depths: tuple[int, ...] = (2, 2, 2, 2)
    motion_image_size: int = 256
    dyn_dim: int = 512
    dyn_crop: int = 0
    embed_channels: int = 512
    embed_size: int = 4
    warp_widths: tuple[int, ...] = (256, 128, 64, 32)
    warp_size: int = 0
    canonical_widths: tuple[int, ...] = (192, 384, 512)
    decoder_width: int = 512
    decoder_blocks: int = 8
    decoder_widths: tuple[int, ...] = (256, 128, 64)
    compose: bool = False
    compose_context: int = 0
    compose_plate: bool = False
    decoder_dyn: bool = False
    dyn_maps: int = 0
    norm_groups: int = 32
    freeze_pose: bool = False
    freeze_dyn: bool = False

    def __post_init__(self):
        down = 2 ** len(self.appearance_widths)
        name = "image_size" if self.drawn_size == self.image_size else "network_size"
        _require(
            self.drawn_size % (4 * down) == 0,
            f"face.{name}={self.drawn_size} must be a multiple of {4 * down}, because the "
            f"appearance encoder halves it {len(self.appearance_widths)} times and G3D twice more",
        )
        _require(
            self.compose or not self.network_size,
            f"face.network_size={self.network_size} needs face.compose=true: without the "
            "portrait's own pixels a larger picture shows no more",
        )
        _require(
            self.compose or not self.compose_context,
            f"face.compose_context={self.compose_context} needs face.compose=true: without it the "
            "decoder draws every pixel itself; set face.compose_context=0 before face.compose",
        )
        _require(
            self.compose or not self.compose_plate,
            "face.compose_plate=true needs face.compose=true: without it the decoder draws the "
            "background itself; set face.compose_plate=false before face.compose",
        )
        _require(
            self.image_size % 8 == 0,
            f"face.image_size={self.image_size} must be a multiple of 8: video is coded in blocks",
        )
        _require(
            len(self.decoder_widths) == len(self.appearance_widths),
            "face.decoder_widths needs one width per halving in face.appearance_widths, "
            f"got {len(self.decoder_widths)} and {len(self.appearance_widths)}",
        )
        _require(
            len(self.canonical_widths) == 3,
            f"face.canonical_widths={self.canonical_widths} must be three widths, one for each "
            "resolution of G3D",
        )
        reach = 2 ** len(self.warp_widths)
        for name, start, target in (
            ("volume_depth", WARP_SEED_DEPTH, self.volume_depth),
            ("warp_size" if self.warp_size else "volume_size", self.embed_size, self.field_size),
        ):
            _require(
                any(start * 2**k == target for k in range(len(self.warp_widths) + 1)),
                f"face.{name}={target} must be {start} times a power of two up to {reach}, because "
                f"the warp generator grows from {start} and may double once per face.warp_widths",
            )
        small, large = sorted((self.dyn_maps or self.volume_size, self.volume_size))
        _require(
            large % small == 0 and (large // small) & (large // small - 1) == 0,
            f"face.dyn_maps={self.dyn_maps} must be the volume's {self.volume_size} voxels times "
            "or over a power of two",
        )
        times = self.volume_size // self.field_size
        _require(
            self.field_size * times == self.volume_size and times & (times - 1) == 0,
            f"face.warp_size={self.warp_size} must be the volume's {self.volume_size} voxels over "
            "a power of two",
        )

    @property
    def drawn_size(self) -> int:
        """Height and width of the picture that the networks see and draw, pixels."""
        return min(self.network_size or self.image_size, self.image_size)

    @property
    def volume_size(self) -> int:
        """Height and width of the appearance volume, voxels."""
        return self.drawn_size // 2 ** len(self.appearance_widths)

    @property
    def field_size(self) -> int:
        """Height and width of the displacement fields as they are generated, voxels."""
        return min(self.warp_size or self.volume_size, self.volume_size)

    @property
    def motion_dim(self) -> int:
        """Length of the per-frame motion vector [pose, z_dyn]."""
        return POSE_DIM + self.dyn_dim


@dataclass(frozen=True)
class AudioConfig:
    """Which audio encoder turns 16 kHz samples into 25 Hz features (VASA-1 3.2 uses Wav2Vec2).

    variant: base or large for wav2vec2; tiny.en, base, small, … for whisper; empty for mel.
    chunk_seconds: the compiled length. overlap_seconds: context on each inner side of a chunk.
    """

    encoder: str = "wav2vec2"
    variant: str = "base"
    dim: int = 768
    mel_bins: int = 80
    mel_width: int = 192
    mel_blocks: int = 6
    chunk_seconds: float = 20.0
    overlap_seconds: float = 2.0

    def __post_init__(self):
        kinds = ("mel", "wav2vec2", "whisper")
        _require(
            self.encoder in kinds,
            f"audio.encoder={self.encoder!r} is not one of {', '.join(kinds)}",
        )
        _require(
            0 <= 2 * self.overlap_seconds < self.chunk_seconds,
            f"audio.chunk_seconds={self.chunk_seconds:g} must be more than twice "
            f"audio.overlap_seconds={self.overlap_seconds:g}, because a chunk carries that much "
            "context on each side",
        )
        _require(
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
        _require(
            self.width % self.heads == 0,
            f"motion.width={self.width} must be a multiple of motion.heads={self.heads}",
        )
        _require(
            0 < self.context <= self.window,
            f"motion.context={self.context} must lie in 1..motion.window={self.window}",
        )
        _require(self.width % 2 == 0, f"motion.width={self.width} must be even (sines and cosines)")
        _require(self.audio_band >= 0, f"motion.audio_band={self.audio_band} must not be negative")
        for key, kinds in (
            ("time_conditioning", ("token", "adaln")),
            ("audio_attention", ("full", "band")),
            ("attention_backend", ("xla", "cudnn")),
        ):
            value = getattr(self, key)
            _require(
                value in kinds, f"motion.{key}={value!r} is not one of {', '.join(sorted(kinds))}"
            )


@dataclass(frozen=True)
class DiffusionConfig:
    """Noise schedule, sampler and guidance (VASA-1 3.2: 50 steps, lambda_A 0.5, lambda_g 1.0).

    unroll: sampler steps compiled one after another in a trip of the loop. More cost compile time;
    whether they save launches on a device is for `vasa-jax benchmark` to say.
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
    drop_condition: float = 0.1
    drop_context: float = 0.5
    drop_tail: float = 0.1

    def __post_init__(self):
        _require(
            0 < self.steps <= self.timesteps,
            f"diffusion.steps={self.steps} must lie in 1..{self.timesteps}",
        )
        _require(self.unroll > 0, f"diffusion.unroll={self.unroll} must be at least 1")
        _require(0.0 <= self.eta <= 1.0, f"diffusion.eta={self.eta} must lie in 0..1")
        for key in ("drop_condition", "drop_context", "drop_tail"):
            value = getattr(self, key)
            _require(0.0 <= value <= 1.0, f"diffusion.{key}={value} is a chance, so in 0..1")
        for key, kinds in (
            ("schedule", ("cosine", "linear")),
            ("sampler", ("ddim", "dpmpp2m")),
            ("spacing", ("leading", "linspace", "trailing")),
        ):
            value = getattr(self, key)
            _require(value in kinds, f"diffusion.{key}={value!r} is not one of {', '.join(kinds)}")


@dataclass(frozen=True)
class InferenceConfig:
    """Fixed shapes of the compiled inference programs."""

    decode_batch: int = 8
    windows_per_call: int = 8


@dataclass(frozen=True)
class TrainConfig:
    """One training stage: optimiser, batch, and how often to log and save.

    batch is the global batch of one step, split into `accumulate` microbatches. Learning rates go
    linearly from 0 over `warmup` steps, then as a cosine to `final_learning_rate` at `steps`
    (schedule="constant": stay). clip=0 and ema=0 switch clipping and averaging off; ema's decay
    starts low and rises to its value. remat trades compute for memory: "none", "full" (keep only
    the inputs of each part of the network) or "dots" (also keep the results of convolutions and
    matrix products). Defaults are stage 1's (MegaPortraits, section 4 and appendix).
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
    seed: int = 0
    log_every: int = 100
    sample_every: int = 2_000
    save_every: int = 2_000
    keep: int = 3

    def __post_init__(self):
        for key in ("steps", "batch", "accumulate", "log_every", "sample_every", "save_every",
                    "keep"):  # fmt: skip
            value = getattr(self, key)
            _require(value > 0, f"train: {key}={value} must be at least 1")
        _require(
            self.batch % self.accumulate == 0,
            f"train: batch={self.batch} must be a multiple of accumulate={self.accumulate}",
        )
        _require(self.warmup >= 0, f"train: warmup={self.warmup} must not be negative")
        _require(self.learning_rate > 0, f"train: learning_rate={self.learning_rate} must be > 0")
        _require(self.clip >= 0, f"train: clip={self.clip} must not be negative (0 is off)")
        _require(0 <= self.ema < 1, f"train: ema={self.ema} must lie in 0..1, 1 excluded")
        for key, kinds in (("schedule", ("constant", "cosine")), ("remat", REMAT_POLICIES)):
            value = getattr(self, key)
            _require(value in kinds, f"train: {key}={value!r} is not one of {', '.join(kinds)}")


def _train_motion() -> TrainConfig:
    """Stage 2: AdamW 1e-4 after 5K steps of warmup, EMA 0.9999, gradients clipped at 1 (ours; the
    paper names none of them)."""
    return TrainConfig(
        steps=200_000, batch=64, learning_rate=1e-4, final_learning_rate=1e-4, warmup=5_000,
        schedule="constant", beta1=0.9, clip=1.0, ema=0.9999,
    )  # fmt: skip


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
        _require(self.data == -1 or self.data > 0, f"mesh.data={self.data} must be -1 or positive")
        for key in ("fsdp", "tensor", "fsdp_floor"):
            value = getattr(self, key)
            _require(value > 0, f"mesh.{key}={value} must be at least 1")


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
    train_face: TrainConfig = field(default_factory=TrainConfig)
    train_motion: TrainConfig = field(default_factory=_train_motion)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    precision: str = "bf16"

    def __post_init__(self):
        _require(
            self.precision in ("bf16", "f32"),
            f"precision={self.precision!r} is not one of bf16, f32",
        )
        _require(
            not (self.motion.prior and self.diffusion.guidance_context),
            "diffusion.guidance_context needs motion.prior=false: without the context there is "
            "another prior, and residuals of two priors do not mix",
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
