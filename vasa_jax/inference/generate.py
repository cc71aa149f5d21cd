"""One request from files to a video: the stages in their order, in a stream."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

import vasa_jax
from vasa_jax.audio import num_frames
from vasa_jax.audio.samples import Samples
from vasa_jax.errors import UserError
from vasa_jax.inference.driving import driving_motion
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.portrait import (
    Crop,
    PasteBack,
    choose_face,
    crop_portrait,
    whole_image_crop,
)
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.render import Clip, render
from vasa_jax.inference.request import Picture, Request, describe
from vasa_jax.inference.upright import find_upright
from vasa_jax.media.audio import AudioClip, open_audio
from vasa_jax.media.files import check_input
from vasa_jax.media.image import read_image
from vasa_jax.media.places import check_kept
from vasa_jax.media.writer import VideoWriter, frame_count
from vasa_jax.typing import POSE_DIM, Float, Frames, Source

SOFT = 2.0
"""Enlargement of a photo from which a user is told that the video will be soft."""


class Portrait(NamedTuple):
    """A photo and the square of it that the model sees."""

    photo: np.ndarray
    crop: Crop


class Inputs(NamedTuple):
    """The files of a request, read and checked."""

    portrait: Portrait
    clip: AudioClip


def load_inputs(request: Request, size: int, report: Reporter) -> Inputs:
    """Read photo and speech, crop to size x size around the chosen face, check the output's place.

    Raises UserError for anything that would make the run fail later, before any slow work.
    """
    with report.timed("load"):
        inputs = {
            "portrait": request.image,
            "sound": request.audio,
            "pose video": request.pose_from,
        }
        check_kept(request.output, inputs, "video")
        clip = open_audio(request.audio, stored=True)
        portrait = load_portrait(request.image, request.picture, size, report)
        if request.pose_from is not None:
            check_input(request.pose_from, "video")
        check_output(request.output, request.audio)
        return Inputs(portrait, clip)


def load_portrait(path: Path, picture: Picture, size: int, report: Reporter) -> Portrait:
    """Read a photo and cut it as `crop_photo` does."""
    photo = read_image(path, lambda line: report.note(f"{path.name}: {line}"))
    return crop_photo(photo, path, picture, size, report)


def crop_photo(
    photo: np.ndarray, name: Path, picture: Picture, size: int, report: Reporter
) -> Portrait:
    """A photo and its size x size crop around the face that `picture` asks for.

    A photo that lies on its side, or stands on its head, is turned as a whole first.
    """
    if picture.crop == "none":
        return Portrait(photo, whole_image_crop(photo, size))
    photo, faces, turned = find_upright(photo, picture.face)
    try:
        face, chosen = choose_face(faces, picture.face)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    crop, soft = crop_portrait(photo, face, size), None
    if (scale := crop.matrix[0, 0]) > SOFT:
        soft = (
            f"the face is small: it is enlarged {scale:.1f} times, and the video will be soft; a "
            "larger photo of it gives a sharper one"
        )
    for note in (turned, chosen, soft):
        if note:
            report.note(f"{name.name}: {note}")
    return Portrait(photo, crop)


class _Abandoned(Exception):
    """Thrown out of a writer to make it clean up."""


def check_output(output: Path, audio: Path | None) -> None:
    """Raise UserError if no video could be written there."""
    # The writer itself knows what it can write; leaving it by an exception leaves nothing behind.
    with suppress(_Abandoned), VideoWriter(output, 2, 2, audio_from=audio):
        raise _Abandoned


def metadata(request: Request, pipeline: Pipeline) -> dict:
    """What a video says of its making: tool, version, config, weights, seed and wishes."""
    return {**made_by(pipeline), **describe(request)}


def made_by(pipeline: Pipeline) -> dict:
    """The part of it that is the same for all videos of a model."""
    return {
        "tool": "vasa-jax",
        "version": vasa_jax.__version__,
        "config": pipeline.config.name,
        "weights": "trained" if pipeline.trained else "untrained",
        "steps": pipeline.config.diffusion.steps,
        "precision": pipeline.config.precision,
    }


def composer(picture: Picture, portrait: Portrait) -> tuple[Callable, int, int]:
    """How a generated frame becomes a video frame: (function, width, height), both even."""
    size = portrait.crop.image.shape[0]
    if picture.paste_back:
        paste = PasteBack(portrait.photo, portrait.crop)
        return paste, paste.width, paste.height
    if picture.side_by_side:
        still = portrait.crop.image
        return lambda frame: np.concatenate([still, frame], axis=1), 2 * size, size
    return lambda frame: frame, size, size


class ClipFile:
    """A video being written from generated frames: whole once it is finished, or not at all.

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
        """Append generated frames, and the sound that goes with them."""
        self._writer.write(np.stack([self._compose(frame) for frame in frames]))
        self.frames += len(frames)

    def finish(self) -> None:
        """Flush the encoders; the video appears in its place."""
        self._open.close()

    def abandon(self) -> None:
        """Leave nothing behind; does nothing once the video is finished."""
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


def generate(request: Request, inputs: Inputs, pipeline: Pipeline, report: Reporter) -> int:
    """Make one talking head from inputs that `load_inputs` read; returns the number of frames."""
    pipeline.compile(report)
    with report.stage("encode"):
        source = pipeline.encode(inputs.portrait.crop.image)
    pose = None
    if request.pose_from is not None:
        with report.stage("drive"):
            count = frame_count(inputs.clip.seconds)
            pose = driving_motion(request.pose_from, pipeline, count, report)[:, :POSE_DIM]
    clip = clip_of(request, inputs, source, pose)
    return write_video(
        request.output,
        _frames(clip, pipeline, report),
        inputs.portrait,
        request.picture,
        inputs.clip.seconds,
        request.audio,
        metadata(request, pipeline),
        report,
    )


def clip_of(
    request: Request, inputs: Inputs, source: Source, pose: Float[np.ndarray, "t 7"] | None = None
) -> Clip:
    """What the request asks for, with as many frames as its video will have."""
    sound = inputs.clip.waveform
    count = clip_frames(sound, inputs.clip.seconds)
    return Clip(source, sound, count, request.controls, request.seed, pose)


def clip_frames(sound: Samples, seconds: float) -> int:
    """How many frames go with so many seconds of sound, of which the model has these samples."""
    return min(frame_count(seconds), num_frames(len(sound)))


def _frames(clip: Clip, pipeline: Pipeline, report: Reporter) -> Iterator[Frames]:
    for _, frames in render([clip], pipeline, report):
        if isinstance(frames, UserError):
            raise frames
        yield frames
