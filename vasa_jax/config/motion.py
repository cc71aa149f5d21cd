"""The motion model's sections of a config: network, diffusion and sampler, inference."""

from dataclasses import dataclass, field
from typing import ClassVar

from vasa_jax.config.extensions import MotionExtensions
from vasa_jax.config.fields import number
from vasa_jax.errors import require
from vasa_jax.typing import EMOTIONS


@dataclass(frozen=True)
class MotionConfig:
    """The diffusion transformer (VASA-1 3.2: 8 layers, width 512, 8 heads).

    The paper does not publish W, K and the layout of tokens; the defaults are ours.
    """

    layers: int = 8
    width: int = 512
    heads: int = 8
    ffn_multiple: int = 4
    window: int = 50
    """W, video frames."""
    context: int = 10
    """K, video frames of the window before."""
    time_conditioning: str = "token"
    """token or adaln."""
    audio_attention: str = "full"
    """full, or band: a frame's motion attends the audio of `audio_band` frames on each side."""
    audio_band: int = number(2, 0)
    attention_backend: str = "xla"
    """xla or cudnn."""
    extensions: MotionExtensions = field(default_factory=MotionExtensions)

    gaze_dim: ClassVar[int] = 2
    distance_dim: ClassVar[int] = 1
    emotion_dim: ClassVar[int] = len(EMOTIONS)

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

    The number of training steps T, their schedule and x0 as the target are shared with training.
    """

    timesteps: int = 1000
    schedule: str = "cosine"
    sampler: str = "ddim"
    spacing: str = "trailing"
    steps: int = 50
    unroll: int = 1
    """Sampler steps in one trip of the compiled loop: more cost compile time."""
    eta: float = 0.0
    guidance_audio: float = 0.5
    guidance_gaze: float = 1.0
    guidance_distance: float = 0.0
    guidance_emotion: float = 0.0
    guidance_context: float = 0.0

    def __post_init__(self):
        require(
            0 < self.steps <= self.timesteps,
            f"diffusion.steps={self.steps} must lie in 1..{self.timesteps}",
        )
        require(self.unroll > 0, f"diffusion.unroll={self.unroll} must be at least 1")
        require(0.0 <= self.eta <= 1.0, f"diffusion.eta={self.eta} must lie in 0..1")
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
