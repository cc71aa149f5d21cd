"""From audio and portraits to frames: several clips at once, as a stream.

All clips advance `Pipeline.frames_per_call` frames at a time (features, motion, frames), and no
more of a clip than that is held. Blocks of frames of all clips share the devices.
"""

from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vasa_jax.audio.samples import Samples
from vasa_jax.errors import UserError
from vasa_jax.inference.audio_features import ClipFeatures
from vasa_jax.inference.blocks import Block, BlockMaker
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls
from vasa_jax.motion.clips import check_features
from vasa_jax.typing import Float, Frames, Source

__all__ = ["Clip", "render"]


class Clip(NamedTuple):
    """A clip to generate."""

    source: Source  # by `Pipeline.encode`
    sound: Samples  # 16 kHz
    frames: int  # at most as many as `sound` has
    controls: Controls = Controls()
    seed: int = 0
    pose: Float[np.ndarray, "t 7"] | None = None  # a track to keep instead of a generated one


def render(
    clips: Sequence[Clip],
    pipeline: Pipeline,
    report: Reporter,
    dropped: Container[int] = (),
) -> Iterator[tuple[int, Frames | UserError]]:
    """(number of the clip, its next frames) of up to `pipeline.batch` clips, until all are made.

    A clip whose sound or features are not finite yields one error in place of frames, and nothing
    more. dropped: numbers of clips that the caller gives up meanwhile.
    """
    failed: dict[int, UserError] = {}
    yield from pipeline.decode_blocks(_blocks(clips, pipeline, report, dropped, failed))
    yield from failed.items()


def _blocks(
    clips: Sequence[Clip],
    pipeline: Pipeline,
    report: Reporter,
    dropped: Container[int],
    failed: dict[int, UserError],
) -> Iterator[Block]:
    left = [clip.frames for clip in clips]

    def give_up(number: int, error: UserError) -> None:
        failed[number], left[number] = error, 0

    audio: list[ClipFeatures | None] = []
    with report.timed("audio"):
        for number, clip in enumerate(clips):
            try:
                audio.append(pipeline.audio_encoder.open(clip.sound))
            except UserError as error:
                audio.append(None)
                give_up(number, error)
    stream = pipeline.motion_stream(
        [clip.source for clip in clips],
        [clip.controls for clip in clips],
        [clip.seed for clip in clips],
        [clip.pose for clip in clips],
    )
    size = pipeline.config.inference.decode_batch
    makers = [BlockMaker(i, pipeline.lanes.copies(c.source), size) for i, c in enumerate(clips)]
    nothing = np.zeros((0, pipeline.config.audio.dim), np.float32)
    while True:
        for number in range(len(clips)):
            if number in dropped:
                left[number] = 0
        counts = [min(count, pipeline.frames_per_call) for count in left]
        if not any(counts):
            return
        with report.timed("audio"):
            going = [(i, clip) for i, clip in enumerate(audio) if clip is not None and counts[i]]
            pipeline.audio_encoder.advance(
                [clip for _, clip in going], [counts[i] for i, _ in going]
            )
            features = [nothing] * len(clips)
            digests = [
                pipeline.digests(clip.sound, clip.frames - rest, count)
                for clip, rest, count in zip(clips, left, counts, strict=True)
            ]
            for i, encoded in going:
                features[i] = encoded.take(counts[i])
                try:
                    check_features([features[i]])
                except UserError as error:
                    give_up(i, error)
                    features[i] = nothing
        with report.timed("sample"):
            motions = stream(features, digests)
        for i, motion in enumerate(motions):
            if not len(motion):
                continue
            left[i] -= len(motion)
            yield from makers[i](motion, last=not left[i])
