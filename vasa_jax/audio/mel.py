"""A small trainable encoder: log-mel patches and residual convolutions, finite receptive field.

Not from the paper, which uses a frozen Wav2Vec2: this one needs no downloaded weights and is
trained together with the motion model. Norms act on single frames, so a long clip can be encoded
in chunks with the very same result.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vasa_jax.audio.protocol import Statistics, before, valid_frames
from vasa_jax.audio.samples import Samples
from vasa_jax.audio.spectrogram import HOP, WINDOW, mel_power
from vasa_jax.typing import (
    FPS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    Array,
    AudioFeatures,
    Bool,
    Float,
    Int,
    Waveform,
)

FLOOR = 1e-6
"""Added to the mel power: about the level of a very quiet room (white noise at -66 dBFS), so that
digital silence and a quiet room look alike and the logarithm's slope stays finite."""
_SIDE = (WINDOW - HOP) // 2


def log_mel(waveform: Waveform, bins: int) -> Float[Array, "b t m"]:
    """log10 mel power at 100 Hz, scaled to about [-1.5, 2] for speech; n a multiple of 640.

    Hop m is windowed about its own centre, sample 160 m + 80; outside the clip are zeros.
    """
    padded = jnp.pad(waveform, ((0, 0), (_SIDE, _SIDE)))
    power = mel_power(padded, waveform.shape[1] // HOP, bins)
    return (jnp.log10(power + FLOOR) + 3.0) / 2.0


class MelEncoder(nn.Module):
    """Log-mel -> stacked hops -> residual Conv1d blocks -> features at 25 Hz."""

    dim: int  # width of the features
    bins: int = 80  # mel bands
    # width, blocks, kernel: of the residual blocks.
    width: int = 192
    blocks: int = 6
    kernel: int = 3
    dtype: DTypeLike = jnp.float32  # compute type; the spectrogram and the norms stay in float32

    sets_level = False

    @property
    def receptive_frames(self) -> int:
        """Neighbouring video frames that a feature sees on each side."""
        return self.blocks * (self.kernel // 2)

    @property
    def receptive_seconds(self) -> float:
        """How far beyond its own frame a feature sees on each side, seconds."""
        return self.receptive_frames / FPS + _SIDE / SAMPLE_RATE

    @nn.compact
    def __call__(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"] | None = None,
        statistics: Statistics = None,
        prepared: bool = False,
        inside: Bool[Array, "b t"] | None = None,
    ) -> AudioFeatures:
        """(b, n) samples in [-1, 1] -> (b, ceil(n / 640), dim); see `protocol.AudioEncoder`.

        inside: frames that the clip has, where it may also begin within a row; features of frames
        within a clip's edge are those of the clip encoded by itself.
        """
        del statistics, prepared  # this encoder takes no statistics over time
        waveform, ends = valid_frames(waveform, num_samples)
        frames = waveform.shape[1] // SAMPLES_PER_FRAME
        mask = before(frames, ends)
        if inside is not None:
            mask &= inside
            by_frame = waveform.reshape(-1, frames, SAMPLES_PER_FRAME)
            waveform = jnp.where(mask[..., None], by_frame, 0).reshape(waveform.shape)
        mel = log_mel(waveform, self.bins)
        hops = SAMPLES_PER_FRAME // HOP
        x = mel.reshape(mel.shape[0], frames, hops * self.bins)
        mask = mask[..., None]
        x = nn.Dense(self.width, dtype=self.dtype, name="stem")(x).astype(jnp.float32)
        for i in range(self.blocks):
            y = nn.LayerNorm(dtype=jnp.float32, use_fast_variance=False, name=f"norm_{i}")(x)
            # Zero beyond the clip, as the convolution's own padding is at the end of a batch row.
            y = jnp.where(mask, y, 0)
            y = nn.Conv(self.width, (self.kernel,), dtype=self.dtype, name=f"conv_{i}")(y)
            y = nn.Dense(self.width, dtype=self.dtype, name=f"mix_{i}")(jax.nn.gelu(y))
            x = x + y
        x = nn.LayerNorm(dtype=jnp.float32, use_fast_variance=False, name="norm")(x)
        x = nn.Dense(self.dim, dtype=self.dtype, name="out")(x)
        return jnp.where(mask, x, 0)

    def prepare(self, waveform: Samples) -> Samples:
        """The clip as it is: nothing is normalised over time."""
        return waveform

    def measure(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"],
        start: Int[Array, " b"],
        stop: Int[Array, " b"],
    ) -> Statistics:
        """None: nothing depends on the whole clip."""
        del waveform, num_samples, start, stop
        return None
