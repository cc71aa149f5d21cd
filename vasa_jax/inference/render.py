"""From sound and portraits to frames, several clips at once, in a stream.

Clips go on side by side, `Pipeline.frames_per_call` frames at a time: features, motion, frames.
No more of a clip than that is held, however long it is. Blocks of frames of all clips are dealt
over the devices in the clips' order.
"""

from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vasa_jax.audio.samples import Samples
from vasa_jax.errors import UserError
from vasa_jax.inference.blocks import Block, BlockMaker
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls
from vasa_jax.inference.sound import Heard
from vasa_jax.motion.clips import check_features
from vasa_jax.typing import Float, Frames, Source

__all__ = ["Clip", "render"]


class Clip(NamedTuple):
    """A clip to be made: `frames` frames, no more than its sound has.

    source: `Pipeline.encode`d. pose: a (t, 7) track to be kept instead of a generated one.
    """

    source: Source
    sound: Samples
    frames: int
    controls: Controls = Controls()
    seed: int = 0
    pose: Float[np.ndarray, "t 7"] | None = None


def render(
    clips: Sequence[Clip],
    pipeline: Pipeline,
    report: Reporter,
    dropped: Container[int] = (),
) -> Iterator[tuple[int, Frames | UserError]]:
    """(number of the clip, its next frames) until all of them are made; up to `pipeline.batch`
    clips. For a clip that cannot be made (a sound that is not finite) once an error in the place of
    frames, and nothing more. dropped: numbers of clips that the caller gives up on the way.
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

    sounds: list[Heard | None] = []
    with report.timed("audio"):
        for number, clip in enumerate(clips):
            try:
                sounds.append(pipeline.hearing.open(clip.sound))
            except UserError as error:
                sounds.append(None)
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
            going = [i for i, count in enumerate(counts) if count]
            pipeline.hearing.advance([sounds[i] for i in going], [counts[i] for i in going])
            features = [nothing] * len(clips)
            digests = [
                pipeline.digests(clip.sound, clip.frames - rest, count)
                for clip, rest, count in zip(clips, left, counts, strict=True)
            ]
            for i in going:
                features[i] = sounds[i].take(counts[i])
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
