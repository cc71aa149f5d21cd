"""From requests to videos: files are read and checked, clips generated side by side and written."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import vasa_jax
from vasa_jax.audio import num_frames
from vasa_jax.audio.samples import Samples
from vasa_jax.errors import UserError
from vasa_jax.inference.driving import driving_motion
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.portrait import Portrait, choose_face, crop_portrait, whole_image_crop
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.render import Clip, render
from vasa_jax.inference.request import Picture, Request, describe
from vasa_jax.inference.upright import find_upright
from vasa_jax.inference.video_file import ClipFile, check_output
from vasa_jax.media.audio import AudioClip, open_audio
from vasa_jax.media.files import check_input
from vasa_jax.media.image import read_image
from vasa_jax.media.places import check_kept
from vasa_jax.media.writer import frame_count
from vasa_jax.typing import POSE_DIM, Float, Frames, Source

SOFT = 2.0
"""Enlargement of the crop beyond which a note says that the video will be soft."""


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
    """Read a photo and crop it as `crop_photo` does."""
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


def metadata(request: Request, pipeline: Pipeline) -> dict:
    """A video's metadata: tool, version, config, weights, seed and controls."""
    return {**made_by(pipeline), **describe(request)}


def made_by(pipeline: Pipeline) -> dict:
    """The part of `metadata` that is the same for all videos of a model."""
    return {
        "tool": "vasa-jax",
        "version": vasa_jax.__version__,
        "config": pipeline.config.name,
        "weights": "trained" if pipeline.trained else "untrained",
        "steps": pipeline.config.diffusion.steps,
        "precision": pipeline.config.precision,
    }


def clip_of(
    request: Request, inputs: Inputs, source: Source, pose: Float[np.ndarray, "t 7"] | None = None
) -> Clip:
    """The clip of a request, with as many frames as its video will have."""
    sound = inputs.clip.waveform
    count = clip_frames(sound, inputs.clip.seconds)
    return Clip(source, sound, count, request.controls, request.seed, pose)


def clip_frames(sound: Samples, seconds: float) -> int:
    """Frames of a video of `seconds`: no more than the samples `sound` give features for."""
    return min(frame_count(seconds), num_frames(len(sound)))


class Job(NamedTuple):
    """A request with what it needs."""

    request: Request
    inputs: Inputs
    details: dict  # what the video says of its making
    pose: Float[np.ndarray, "t 7"] | None = None  # head pose to keep instead of a generated one


def generate(request: Request, inputs: Inputs, pipeline: Pipeline, report: Reporter) -> int:
    """Make one video from inputs that `load_inputs` read; returns the number of frames."""
    pipeline.compile(report)
    pose = None
    if request.pose_from is not None:
        with report.stage("drive"):
            count = frame_count(inputs.clip.seconds)
            pose = driving_motion(request.pose_from, pipeline, count, report)[:, :POSE_DIM]
    job = Job(request, inputs, metadata(request, pipeline), pose)
    for _, error in make_videos([job], pipeline, report):
        if error is not None:
            raise error
    return clip_frames(inputs.clip.waveform, inputs.clip.seconds)


def make_videos(
    jobs: Sequence[Job], pipeline: Pipeline, report: Reporter
) -> Iterator[tuple[int, UserError | None]]:
    """The number of each of up to `pipeline.batch` jobs as it ends, and why it failed, if it did.

    A video is whole or absent, also when the caller stops early. A failed job does not touch the
    others.
    """
    with report.stage("encode"):
        sources = pipeline.encode_all([job.inputs.portrait.crop.image for job in jobs])
    clips = [
        clip_of(job.request, job.inputs, source, job.pose)
        for job, source in zip(jobs, sources, strict=True)
    ]
    files: dict[int, ClipFile] = {}
    ended: set[int] = set()

    def attempt(number: int, action: Callable[[], None]) -> UserError | None:
        """Run what may end a job; why it failed, if it did."""
        try:
            action()
            return None
        except UserError as error:
            failure = error
        except OSError as error:
            failure = UserError(f"{jobs[number].request.output}: {error.strerror or error}")
        ended.add(number)
        if number in files:
            files[number].abandon()
        return failure

    def begin(number: int) -> None:
        request, inputs, details, _ = jobs[number]
        files[number] = ClipFile(
            request.output,
            inputs.portrait,
            request.picture,
            inputs.clip.seconds,
            request.audio,
            details,
        )

    def write(number: int, frames: Frames | UserError) -> None:
        if isinstance(frames, UserError):
            raise frames
        with report.timed("write"):
            files[number].write(frames)
            if files[number].frames == clips[number].frames:
                files[number].finish()
                ended.add(number)

    try:
        with report.stage("decode", sum(clip.frames for clip in clips)) as advance:
            for number in range(len(jobs)):
                if error := attempt(number, partial(begin, number)):
                    yield number, error
            for number, frames in render(clips, pipeline, report, dropped=ended):
                if number in ended:
                    continue
                error = attempt(number, partial(write, number, frames))
                advance(0 if isinstance(frames, UserError) else len(frames))
                if number in ended:
                    yield number, error
    finally:
        for file in files.values():
            file.abandon()
