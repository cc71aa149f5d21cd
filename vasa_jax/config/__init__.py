"""Configurations: frozen dataclasses, the registry of named configs, and typed overrides.

A config is a value: hashable, comparable, printable, and enough to rebuild every network and its
fake inputs, so that `jax.eval_shape` can test the full size without memory. What VASA-1 does not
have stands in `extensions` of a section, all off by default.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from vasa_jax.config.audio import AudioConfig
from vasa_jax.config.extensions import FaceExtensions, MotionExtensions
from vasa_jax.config.face import FaceConfig
from vasa_jax.config.losses import FaceLossConfig
from vasa_jax.config.motion import DiffusionConfig, InferenceConfig, MotionConfig
from vasa_jax.config.overrides import apply_overrides, build, nearest
from vasa_jax.config.renamed import upgraded
from vasa_jax.config.train import (
    REMAT_POLICIES,
    FaceTrainConfig,
    MeshConfig,
    MotionTrainConfig,
    PoseTrainConfig,
    RunConfig,
    TrainConfig,
    require_precision,
    require_unsplit,
)
from vasa_jax.errors import UserError, require
from vasa_jax.typing import ARKIT, SAMPLE_RATE

__all__ = [
    "DEFAULT_NAME",
    "NAMES",
    "REMAT_POLICIES",
    "AudioConfig",
    "Config",
    "DiffusionConfig",
    "FaceConfig",
    "FaceExtensions",
    "FaceLossConfig",
    "FaceTrainConfig",
    "InferenceConfig",
    "MeshConfig",
    "MotionConfig",
    "MotionExtensions",
    "MotionTrainConfig",
    "PoseTrainConfig",
    "RunConfig",
    "TrainConfig",
    "from_dict",
    "get_config",
]

NAMES = ("vasa1", "base256", "demo", "debug")
DEFAULT_NAME = "demo"


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
    train_pose: PoseTrainConfig = field(default_factory=PoseTrainConfig)
    train_face: FaceTrainConfig = field(default_factory=FaceTrainConfig)
    train_motion: MotionTrainConfig = field(default_factory=MotionTrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    precision: str = "bf16"

    def __post_init__(self):
        require_precision(self.precision)
        require(
            not (self.motion.extensions.residual_prior and self.diffusion.guidance_context),
            "diffusion.guidance_context needs motion.extensions.residual_prior=false: without the "
            "context there is another prior, and residuals of two priors do not mix",
        )
        require(
            not self.train_motion.lips_weight or self.face.dyn_dim >= len(ARKIT),
            f"train_motion.lips_weight reads ARKit coefficients off z_dyn, and face.dyn_dim="
            f"{self.face.dyn_dim} holds no {len(ARKIT)} of them",
        )
        require(
            self.audio.encoder == "mel" or not self.train_motion.augment_audio,
            f"train_motion.augment_audio=true needs audio.encoder=mel, because "
            f"{self.audio.encoder} is not trained",
        )
        flat = any(t.flat for t in (self.train_pose, self.train_face, self.train_motion))
        require_unsplit(flat, "train_*", self.mesh)

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
    """The inverse of `to_dict`, of this version or an older one; keys that this version lacks raise
    UserError."""
    return build(Config, upgraded(data), "config")
