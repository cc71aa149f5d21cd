"""Inputs and settings of an evaluation: the model's interface, metric networks, clips and swaps."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from vasa_jax.typing import FPS, Float, Frames, UInt8

SAME_PERSON = 0.6
"""Identity distance below which two faces count as one person: dlib's threshold (King 2017)."""


@runtime_checkable
class Model(Protocol):
    """The evaluated model; `vasa_jax.inference.pipeline.Pipeline` implements it."""

    config: Any
    stats: Any
    batch: int

    @property
    def motion_encoder(self) -> Any: ...

    def encode(self, portrait: np.ndarray) -> Any: ...

    def decode(self, source: Any, motion: np.ndarray) -> Iterator[np.ndarray]: ...

    def audio(self, waveform: np.ndarray) -> np.ndarray: ...

    def generate_motion(
        self,
        sources: Sequence[Any],
        features: Sequence[np.ndarray],
        controls: Sequence[Any],
        seeds: Sequence[int],
        *,
        sounds: Sequence[np.ndarray],
    ) -> list[np.ndarray]: ...


class FaceMeasurements(NamedTuple):
    """Measurements of t images; the rows of an image without a detected face are NaN."""

    rotation: Float[np.ndarray, "t 3"]  # radians, as in `vasa_jax.data_pipeline.clip.Clip`
    log_scale: Float[np.ndarray, " t"]
    gaze: Float[np.ndarray, "t 2"]  # radians
    mouth: Float[np.ndarray, " t"]  # distance of the inner lips / of the outer eye corners
    points: Float[np.ndarray, "t 5 2"]  # five points that align the face for the identity network
    expression: Float[np.ndarray, "t k"]  # ARKit coefficients, or any expression descriptor
    emotion: Float[np.ndarray, "8"]  # mean probabilities of `vasa_jax.typing.EMOTIONS`

    def found(self) -> np.ndarray:
        """(t,) bool: whether a face was detected."""
        return np.isfinite(self.rotation).all(-1)


class AnalyzedFrames(NamedTuple):
    """Frames with their measurements."""

    frames: Frames
    measurements: FaceMeasurements


AnalyzeFaces = Callable[[Frames, bool], FaceMeasurements]
"""(frames, whether they are consecutive frames of a video) -> measurements."""


@runtime_checkable
class ScoreFrames(Protocol):
    """The metrics of `vasa-jax score`; `vasa_jax.score.in_memory.FrameScores` implements it."""

    def track(self, frames: Frames, waveform: Float[np.ndarray, " n"]) -> Any:
        """A video with its sound, whose `faces` are its `FaceMeasurements`."""
        ...

    def score(self, track: Any, real: Any | None) -> dict[str, float]:
        """Figures of a video by key, NaN where they are not measured."""
        ...


class MetricNetworks(NamedTuple):
    """Networks that measure images; where an optional one is None, its metrics are left out."""

    analyze: AnalyzeFaces
    # Distance of each pair of frames.
    lpips: Callable[[Frames, Frames], Float[np.ndarray, " t"]] | None = None
    # (frames, points) -> vectors, nearer than `SAME_PERSON` (Euclidean) for one person.
    embed: Callable[[Frames, Float[np.ndarray, "t 5 2"]], Float[np.ndarray, "t e"]] | None = None
    # Videos of `FVD_FRAMES` frames -> one feature vector each.
    video_features: Callable[[UInt8[np.ndarray, "n t h w 3"]], np.ndarray] | None = None
    scores: ScoreFrames | None = None


class EvalClip(NamedTuple):
    """A talking-head clip at 25 fps with its audio and, where known, exact labels."""

    name: str
    identity: str
    num_frames: int
    decode_frames: Callable[[Sequence[int]], Frames]  # frame numbers -> (n, s, s, 3), any size
    waveform: Float[np.ndarray, " n"]  # 16 kHz, [-1, 1], 640 samples a frame
    rotation: Float[np.ndarray, "t 3"] | None = None
    log_scale: Float[np.ndarray, " t"] | None = None
    gaze: Float[np.ndarray, "t 2"] | None = None
    phonemes: tuple[str, ...] | None = None  # IPA, one per frame; "sil" a pause, "" unknown


class Swaps(NamedTuple):
    """Ground-truth renders of i identities x p poses x d dynamics."""

    name: str
    identities: tuple[str, ...]
    images: UInt8[np.ndarray, "i p d h w 3"]


class Settings(NamedTuple):
    """Size of an evaluation."""

    frames: int = 16  # reenacted frames of a clip, evenly spaced
    seconds: float = 8.0  # length of the audio-driven clips
    seeds: int = 3  # audio-driven samples of each clip
    sources: int = 2  # of a group of swaps
    drivers: int = 4  # of each source
    sweep_clips: int = 2
    sweep_seconds: float = 3.0
    seed: int = 0

    @property
    def speech_frames(self) -> int:
        """Frames of an audio-driven clip."""
        return max(1, round(self.seconds * FPS))

    @property
    def sweep_frames(self) -> int:
        """Frames of a clip in a sweep."""
        return max(1, round(self.sweep_seconds * FPS))


class MouthCurve(NamedTuple):
    """Mouth opening of one audio-driven clip, generated and true, with its audio, for a plot."""

    name: str
    ours: Float[np.ndarray, " t"]
    truth: Float[np.ndarray, " t"]
    waveform: Float[np.ndarray, " n"]
    phonemes: tuple[str, ...] | None


class Sweep(NamedTuple):
    """Mean measured response to each value of one control, over the clips; NaN where unmeasured."""

    name: str
    unit: str
    commands: tuple[float, ...]
    answers: tuple[float, ...]


class Gallery:
    """Images and curves kept for the contact sheets, at most `limit` of a kind.

    swaps: rows of (source, driver, ours, exact). factors: rows of (source, driver, pose alone, its
    exact render, dynamics alone, its exact render). reenactments: rows of (source, driver, ours).
    talks: rows of (identity, `times` evenly spaced frames of a clip). shared: the same of one
    motion on several faces. sweeps: by control, rows of one frame for each of its values.
    """

    def __init__(self, limit: int = 8, times: int = 8):
        self.limit, self.times = limit, times
        self.swaps: list[tuple[np.ndarray, ...]] = []
        self.factors: list[tuple[np.ndarray, ...]] = []
        self.reenactments: list[tuple[np.ndarray, ...]] = []
        self.talks: list[tuple[str, np.ndarray]] = []
        self.shared: list[tuple[str, np.ndarray]] = []
        self.sweeps: dict[str, list[tuple[np.ndarray, ...]]] = {}
        self.mouths: list[MouthCurve] = []

    def keep(self, kind: list, item: Any) -> None:
        """Append to one of the lists unless it is full."""
        if len(kind) < self.limit:
            kind.append(item)
