"""The protocol of audio encoders: 16 kHz samples to one feature vector per video frame.

Time. Sample k lies at k / 16000 s. Video frame i covers samples [640 i, 640 (i + 1)), so its
centre is sample 640 i + 320. A clip of n samples has ceil(n / 640) frames; the missing samples of
the last one are zeros. Each encoder resamples its own rate to 25 Hz about those centres:

- mel: hop m of 160 samples is windowed about its own centre, 160 m + 80, and four hops tile a
  frame, so the frame's mel patch is centred on the frame.
- wav2vec2: feature j at 50 Hz sees samples [320 j, 320 j + 400). With 40 zeros in front its centre
  is 320 j + 160; features 2 i and 2 i + 1 lie evenly about the frame's centre and are averaged,
  which is linear interpolation with align_corners=False.
- whisper: feature j is centred on sample 320 j, so feature 2 i + 1 sits exactly on the frame's
  centre; its neighbours are weighted in by (1/4, 1/2, 1/4), the triangle of linear interpolation
  widened to the coarser rate against aliasing.

Padding. `num_samples` says how much of a row is real. What lies beyond is treated as if the clip
ended there: it changes no feature, and features beyond the clip are zero.

Level. What an encoder hears is at a level that speech is trained on: `level.speech_gain` is applied
to whole clips by `chunks.encode_clip`, to streams by `inference.stream`, to training's clips when
they are read. Encoders that set the level of a clip themselves (`sets_level`) need none.

Clips longer than a chunk. Some networks take statistics over the whole clip. `prepare` and
`measure` let `chunks.encode_clip` take them over the clip before it encodes chunk by chunk.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp

from vasa_jax.audio.samples import Samples
from vasa_jax.typing import SAMPLES_PER_FRAME, Array, AudioFeatures, Bool, Float, Int, Waveform


class Moments(NamedTuple):
    """Number, mean and sum of squared deviations of steps in time, per channel."""

    steps: Float[Array, " b"]
    mean: Float[Array, "b c"]
    squares: Float[Array, "b c"]

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both parts together (Chan, Golub and LeVeque 1979, eq. 2.1)."""
        steps = self.steps + other.steps
        share = (other.steps / jnp.maximum(steps, 1))[:, None]
        delta = other.mean - self.mean
        squares = self.squares + other.squares + delta**2 * self.steps[:, None] * share
        return Moments(steps, self.mean + delta * share, squares)


class Peak(NamedTuple):
    """The largest value over time."""

    value: Float[Array, " b"]

    def merge(self, other: "Peak") -> "Peak":
        """The larger of both peaks."""
        return Peak(jnp.maximum(self.value, other.value))


Statistics = Moments | Peak | None


@runtime_checkable
class AudioEncoder(Protocol):
    """A Linen module from waveforms to features at 25 Hz; see the module's docstring for time."""

    @property
    def dim(self) -> int:
        """Channels of its features."""
        ...

    @property
    def sets_level(self) -> bool:
        """Whether `prepare` brings any clip to one level."""
        ...

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Linen's."""
        ...

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Linen's."""
        ...

    def __call__(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"] | None = None,
        statistics: Statistics = None,
        prepared: bool = False,
    ) -> AudioFeatures:
        """Features of each row: (b, n) samples in [-1, 1] -> (b, ceil(n / 640), dim).

        num_samples: real samples of each row, default all. statistics: those of the whole clip
        where the row is only a chunk of it, default the row's own. prepared: the row has been
        through `prepare` already.
        """
        ...

    def prepare(self, waveform: Samples) -> Samples:
        """The whole clip made ready on the host, before it is cut into chunks."""
        ...

    def measure(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"],
        start: Int[Array, " b"],
        stop: Int[Array, " b"],
    ) -> Statistics:
        """Statistics of the part [start, stop) of a prepared chunk, in samples from its first."""
        ...


def num_frames(samples: int) -> int:
    """Video frames of a clip: ceil(samples / 640)."""
    return -(-samples // SAMPLES_PER_FRAME)


def valid_frames(
    waveform: Waveform, num_samples: Int[Array, " b"] | None
) -> tuple[Float[Array, "b m"], Int[Array, " b"]]:
    """The rows zeroed beyond their ends and padded to whole frames, and each row's frames."""
    batch, samples = waveform.shape
    if num_samples is None:
        num_samples = jnp.full((batch,), samples, jnp.int32)
    waveform = jnp.where(jnp.arange(samples) < num_samples[:, None], waveform, 0)
    padding = num_frames(samples) * SAMPLES_PER_FRAME - samples
    return jnp.pad(waveform, ((0, 0), (0, padding))), num_frames_of(num_samples)


def num_frames_of(num_samples: Int[Array, " b"]) -> Int[Array, " b"]:
    """`num_frames` of an array."""
    return -(-num_samples // SAMPLES_PER_FRAME)


def before(length: int, ends: Int[Array, " b"]) -> Bool[Array, "b t"]:
    """Mask over `length` steps: true before each row's end."""
    return jnp.arange(length) < ends[:, None]
