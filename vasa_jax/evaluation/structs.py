"""What an evaluation is given: a model, instruments that read pictures, clips and swaps.

Plain structs and protocols, so that this room knows neither data sets nor labellers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from vasa_jax.typing import FPS, Float, Frames, UInt8

SAME_PERSON = 0.6
"""dlib's own threshold: two faces nearer than this are one person (King 2017)."""


@runtime_checkable
class Model(Protocol):
    """What is judged; `vasa_jax.inference.pipeline.Pipeline` is one. See there for the calls."""

    config: Any
    stats: Any
    batch: int

    def encode(self, portrait: np.ndarray) -> Any: ...

    def stay(self, source: Any, motion: np.ndarray, distance: float | None) -> np.ndarray: ...

    def decode(self, source: Any, motion: np.ndarray) -> Iterator[np.ndarray]: ...

    def audio(self, waveform: np.ndarray) -> np.ndarray: ...

    def sample(
        self,
        features: Sequence[np.ndarray],
        controls: Sequence[Any],
        seeds: Sequence[int],
        *,
        sources: Sequence[Any],
        sounds: Sequence[np.ndarray],
    ) -> list[np.ndarray]: ...


class Readings(NamedTuple):
    """What is seen in t pictures; a row is NaN where no face is found.

    rotation, log_scale, gaze: as in `vasa_jax.data_pipeline.clip.Clip`, radians. mouth: distance of
    the inner lips as a share of that of the outer eye corners. points: (t, 5, 2) for the alignment
    of the identity network. expression: any numbers that tell expressions apart. emotion: shares of
    `vasa_jax.typing.EMOTIONS` over all pictures.
    """

    rotation: Float[np.ndarray, "t 3"]
    log_scale: Float[np.ndarray, " t"]
    gaze: Float[np.ndarray, "t 2"]
    mouth: Float[np.ndarray, " t"]
    points: Float[np.ndarray, "t 5 2"]
    expression: Float[np.ndarray, "t k"]
    emotion: Float[np.ndarray, "8"]

    def found(self) -> np.ndarray:
        """(t,) bool: where a face was seen."""
        return np.isfinite(self.rotation).all(-1)


class Viewed(NamedTuple):
    """Pictures, and what was seen in them."""

    frames: Frames
    readings: Readings


Reader = Callable[[Frames, bool], Readings]
"""(pictures, whether they are neighbours in a video) to readings."""


class Instruments(NamedTuple):
    """What looks at pictures. lpips: distances of pairs. embed: (pictures, points) to identity
    vectors whose Euclidean distance is below `SAME_PERSON` for one person. video_features: videos
    of `FVD_FRAMES` frames to one vector each. None: those figures are left out."""

    reader: Reader
    lpips: Callable[[Frames, Frames], Float[np.ndarray, " t"]] | None = None
    embed: Callable[[Frames, Float[np.ndarray, "t 5 2"]], Float[np.ndarray, "t e"]] | None = None
    video_features: Callable[[UInt8[np.ndarray, "n t h w 3"]], np.ndarray] | None = None


class EvalClip(NamedTuple):
    """A talking head of `count` frames at 25 fps with its sound, and labels where they are known.

    pictures: the frames of the given numbers, (n, s, s, 3) at any size. waveform: 16 kHz, [-1, 1],
    640 samples a frame. rotation (t, 3), log_scale (t,), gaze (t, 2): true labels. phonemes: what
    is spoken in each frame, in the IPA, "sil" for a pause, "" unknown.
    """

    name: str
    identity: str
    count: int
    pictures: Callable[[Sequence[int]], Frames]
    waveform: Float[np.ndarray, " n"]
    rotation: Float[np.ndarray, "t 3"] | None = None
    log_scale: Float[np.ndarray, " t"] | None = None
    gaze: Float[np.ndarray, "t 2"] | None = None
    phonemes: tuple[str, ...] | None = None


class Swaps(NamedTuple):
    """Exact pictures of i identities x p poses x d dynamics, (i, p, d, s, s, 3)."""

    name: str
    identities: tuple[str, ...]
    images: UInt8[np.ndarray, "i p d h w 3"]


class Settings(NamedTuple):
    """How much is measured. frames: pictures of a clip that are reenacted, spread over it. seconds:
    length of the audio-driven clips. seeds: samples of each. sources, drivers: of a group of swaps,
    each source with each of its drivers. sweep_clips, sweep_seconds: of the sweeps. seed: of what
    is drawn."""

    frames: int = 16
    seconds: float = 8.0
    seeds: int = 3
    sources: int = 2
    drivers: int = 4
    sweep_clips: int = 2
    sweep_seconds: float = 3.0
    seed: int = 0

    @property
    def speech_frames(self) -> int:
        return max(1, round(self.seconds * FPS))

    @property
    def sweep_frames(self) -> int:
        return max(1, round(self.sweep_seconds * FPS))


class MouthCurve(NamedTuple):
    """One clip's mouth for a plot: readings of ours and of the truth, and the sound."""

    name: str
    ours: Float[np.ndarray, " t"]
    truth: Float[np.ndarray, " t"]
    waveform: Float[np.ndarray, " n"]
    phonemes: tuple[str, ...] | None


class Sweep(NamedTuple):
    """One condition, turned up step by step: the mean answers over the clips, NaN where unread."""

    name: str
    unit: str
    commands: tuple[float, ...]
    answers: tuple[float, ...]


class Gallery:
    """Pictures and curves kept for the sheets; at most `limit` of a kind.

    swaps: rows of (source, driver, ours, exact). reenactments: rows of (source, driver, ours).
    talks: rows of (identity, (n, h, w, 3) frames spread over a clip).
    """

    def __init__(self, limit: int = 8, times: int = 8):
        self.limit, self.times = limit, times
        self.swaps: list[tuple[np.ndarray, ...]] = []
        self.reenactments: list[tuple[np.ndarray, ...]] = []
        self.talks: list[tuple[str, np.ndarray]] = []
        self.mouths: list[MouthCurve] = []

    def keep(self, kind: list, item: Any) -> None:
        if len(kind) < self.limit:
            kind.append(item)


def batches(frames: Frames, size: int) -> Iterable[Frames]:
    """The frames in runs of at most `size`."""
    return (frames[i : i + size] for i in range(0, len(frames), size))
