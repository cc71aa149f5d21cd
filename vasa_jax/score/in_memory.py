"""The metrics of `vasa-jax score` for videos in memory, as `vasa-jax evaluate` makes them."""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.prepare.labels import Labellers
from vasa_jax.score.metrics import FROM_FRAMES
from vasa_jax.score.reading import ReadOptions, track_of_frames
from vasa_jax.score.tools import Choices, make_tools
from vasa_jax.score.types import Metric, Tools, Track, score_track
from vasa_jax.typing import Float, Frames


class FrameScores(NamedTuple):
    """Makes tracks of frames, and scores them: `vasa_jax.evaluation.types.ScoreFrames`."""

    labellers: Labellers
    tools: Tools
    metrics: tuple[Metric, ...] = FROM_FRAMES
    options: ReadOptions = ReadOptions()

    def track(self, frames: Frames, waveform: Float[np.ndarray, " n"]) -> Track:
        """frames: a video at 25 fps. waveform: its sound at 16 kHz."""
        return track_of_frames(frames, waveform, self.labellers, self.options)

    def score(self, track: Track, real: Track | None) -> dict[str, float]:
        """Every figure by key, NaN where it is not measured; without `real`, those of pairs are
        left out."""
        metrics = tuple(m for m in self.metrics if real is not None or not m.paired)
        values = score_track(metrics, track, real, self.tools).values
        return {key: values.get(key, float("nan")) for m in metrics for key in m.specs}


def frame_scores(labellers: Labellers) -> FrameScores:
    """With the instruments that `vasa-jax score` takes by default."""
    return FrameScores(labellers, make_tools(Choices(labellers)))
