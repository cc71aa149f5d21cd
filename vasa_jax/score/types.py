"""What one decode of a video yields, and what a metric is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.evaluation.types import FaceMeasurements
from vasa_jax.typing import SAMPLES_PER_FRAME, Float, Frames


class NotMeasured(Exception):
    """A metric that is not defined for a video, or whose network is not here; the text says why."""


class Track(NamedTuple):
    """A video of t frames at 25 fps, read once. Only a few of its frames are kept."""

    size: tuple[int, int]  # width and height, pixels
    landmarks: Float[np.ndarray, "t 478 3"]  # pixels; rows of NaN without a face
    faces: FaceMeasurements
    waveform: Float[np.ndarray, " n"] | None  # 16 kHz, [-1, 1]; None without a sound track
    numbers: tuple[int, ...]  # of the frames that are kept, evenly spaced from 0
    stills: Frames  # those frames
    # Video network's features of runs of 25 frames; None where they were not asked for.
    features: Float[np.ndarray, "r k"] | None = None
    # A video from which all frames can be read: the copy in the fixed codec, where one was made.
    copy: Path | None = None

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.landmarks)

    def sound(self) -> Float[np.ndarray, " n"]:
        """The sound under the pictures. Raises NotMeasured for a video without a sound track."""
        if self.waveform is None:
            raise NotMeasured("the video has no sound")
        return self.waveform[: self.frames * SAMPLES_PER_FRAME]

    def found(self) -> np.ndarray:
        """(t,) bool: whether a face was detected. Raises NotMeasured where that is in no frame."""
        found = self.faces.found()
        if not found.any():
            raise NotMeasured("no face is found")
        return found


class Tools:
    """Networks and other instruments by name, made when they are first asked for.

    makers: by name, a function that makes the instrument. A reason (text) stands for one that
    cannot be had.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Any] | str]):
        self._makers = dict(makers)
        self._made: dict[str, Any] = {}

    def __call__(self, name: str) -> Any:
        """The instrument. Raises NotMeasured, with the reason, where there is none."""
        if name not in self._made:
            self._made[name] = self._make(name)
        if isinstance(self._made[name], NotMeasured):
            raise self._made[name]
        return self._made[name]

    def _make(self, name: str) -> Any:
        from vasa_jax.errors import UserError, explain_missing

        maker = self._makers.get(name, f"no instrument {name!r}")
        if isinstance(maker, str):
            return NotMeasured(maker)
        try:
            return maker()
        except UserError as error:
            return NotMeasured(str(error))
        except ModuleNotFoundError as error:
            if (explained := explain_missing(error)) is None:
                raise
            return NotMeasured(str(explained))


class Spec(NamedTuple):
    """One figure of a metric, as the report shows it."""

    text: str
    unit: str
    best: str  # "high", "low", "as the real videos", or a number
    source: str  # paper and section, or the definition in a few words


class Metric(NamedTuple):
    """A metric: a few figures of one video, or of a pair of a video and its real counterpart."""

    name: str
    specs: dict[str, Spec]  # by the keys of the figures
    # (video, its real counterpart or None, instruments) -> figures by key; NaN is not defined.
    # Raises NotMeasured where none of them is defined.
    measure: Callable[[Track, Track | None, Tools], dict[str, float]]
    paired: bool = False  # whether it needs the counterpart


class Scores(NamedTuple):
    """All figures of one video."""

    values: dict[str, float]
    reasons: dict[str, str]  # why the other figures were not measured, by key


def score_track(
    metrics: tuple[Metric, ...], track: Track, reference: Track | None, tools: Tools
) -> Scores:
    """Every figure of a video. reference: its real counterpart, if there is one."""
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for metric in metrics:
        try:
            if metric.paired and reference is None:
                raise NotMeasured("there is no real video to compare with")
            found = metric.measure(track, reference, tools)
        except NotMeasured as reason:
            reasons |= dict.fromkeys(metric.specs, str(reason))
            continue
        for key in metric.specs:
            value = float(found.get(key, float("nan")))
            if np.isfinite(value):
                values[key] = value
            else:
                reasons[key] = "not defined for this video"
    return Scores(values, reasons)
