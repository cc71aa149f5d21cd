"""Videos written from generated frames: what a frame shows, and a file that is whole or absent."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from vasa_jax.inference.portrait import PasteBack, Portrait
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Picture
from vasa_jax.media.writer import VideoWriter, frame_count
from vasa_jax.typing import Frames

__all__ = ["ClipFile", "check_output", "composer", "write_video"]


class _Abandoned(Exception):
    """Thrown out of a writer to make it clean up."""


def check_output(output: Path, audio: Path | None) -> None:
    """Raise UserError if no video could be written there."""
    # The writer itself knows what it can write; leaving it by an exception leaves nothing behind.
    with suppress(_Abandoned), VideoWriter(output, 2, 2, audio_from=audio):
        raise _Abandoned


def composer(picture: Picture, portrait: Portrait) -> tuple[Callable, int, int]:
    """(function, width, height): turns a generated frame into a video frame of that even size."""
    size = portrait.crop.image.shape[0]
    if picture.paste_back:
        paste = PasteBack(portrait.photo, portrait.crop)
        return paste, paste.width, paste.height
    if picture.side_by_side:
        still = portrait.crop.image
        return lambda frame: np.concatenate([still, frame], axis=1), 2 * size, size
    return lambda frame: frame, size, size


class ClipFile:
    """A video being written from generated frames: it appears once finished, or not at all.

    Raises UserError where it cannot be written, as `VideoWriter` does.
    """

    def __init__(
        self,
        output: Path,
        portrait: Portrait,
        picture: Picture,
        seconds: float,
        audio: Path | None,
        details: dict,
    ):
        self.frames = 0
        self._compose, width, height = composer(picture, portrait)
        self._open = ExitStack()
        self._writer = self._open.enter_context(
            VideoWriter(output, width, height, audio_from=audio, seconds=seconds, metadata=details)
        )

    def write(self, frames: Frames) -> None:
        """Append generated frames with their part of the soundtrack."""
        self._writer.write(np.stack([self._compose(frame) for frame in frames]))
        self.frames += len(frames)

    def finish(self) -> None:
        """Flush the encoders; the video appears in its place."""
        self._open.close()

    def abandon(self) -> None:
        """Remove what was written, unless the video is finished."""
        with suppress(_Abandoned), self._open:
            raise _Abandoned


def write_video(
    output: Path,
    frames: Iterator[np.ndarray],
    portrait: Portrait,
    picture: Picture,
    seconds: float,
    audio: Path | None,
    details: dict,
    report: Reporter,
) -> int:
    """Stream batches of frames and the track of `audio` into a file; returns the frames written.

    Decoding on the device runs ahead of the writing by one batch (see `Pipeline.decode_blocks`), so
    memory does not grow with the clip's length.
    """
    with report.stage("decode", frame_count(seconds)) as advance:
        file = ClipFile(output, portrait, picture, seconds, audio, details)
        try:
            for batch in frames:
                with report.timed("write"):
                    file.write(batch)
                advance(len(batch))
            with report.timed("write"):
                file.finish()
        finally:
            file.abandon()
    return file.frames
