"""Self- and cross-reenactment of clips: one picture of a person driven by a video."""

from collections.abc import Callable, Sequence

import numpy as np

from vasa_jax.evaluation import image
from vasa_jax.evaluation.angles import distance_error, gaze_error, pose_error
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.structs import (
    EvalClip,
    Gallery,
    Instruments,
    Model,
    Readings,
    Settings,
    Viewed,
)
from vasa_jax.evaluation.use import add_identity, decode, encode_motion, spread, to_size
from vasa_jax.typing import Frames


def measure_clips(
    model: Model,
    clips: Sequence[EvalClip],
    instruments: Instruments,
    settings: Settings,
    samples: Samples,
    gallery: Gallery,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Adds `self.*`, `cross.*` and `floor.*`.

    Self: a clip's first frame driven by its later ones, which are the truth. Cross: the first frame
    of the next clip of somebody else, by the same driver. Floor: what the instruments say of the
    true pictures, which is as good as a figure can get. Groups are the driven people.
    """
    size = model.config.face.image_size

    def view(frames: Frames, video: bool) -> Viewed:
        return Viewed(frames, instruments.reader(frames, video))

    for place, clip in enumerate(clips):
        numbers = spread(clip.count, settings.frames, first=min(1, clip.count - 1))
        pictures = view(to_size(clip.pictures([0, *numbers]), size), True)
        source, driver = _rows(pictures, slice(0, 1)), _rows(pictures, slice(1, None))
        motion = encode_motion(model, driver.frames)
        ours = view(decode(model, source.frames[0], motion), True)
        add_pictures(samples, "self", clip.identity, instruments, ours.frames, driver.frames)
        error = np.abs(ours.readings.mouth - driver.readings.mouth)
        samples.add("self.mouth_error", clip.identity, 100 * error)
        add_identity(samples, "floor", clip.identity, instruments, driver, source)
        samples.add("floor.face_found", clip.identity, driver.readings.found())
        _add_labels(samples, "floor", clip.identity, driver.readings, clip, numbers)
        runs = [("self", clip.identity, ours, source, None)]
        other = _somebody_else(clips, place)
        if other is not None:
            face = view(to_size(other.pictures([0]), size), False)
            swapped = view(decode(model, face.frames[0], motion), True)
            runs.append(("cross", other.identity, swapped, face, driver))
            add_identity(samples, "strangers", other.identity, instruments, driver, face)
            row = face.frames[0], driver.frames[-1], swapped.frames[-1]
            gallery.keep(gallery.reenactments, row)
        for name, who, made, face, rival in runs:
            add_identity(samples, name, who, instruments, made, face, rival)
            add_readings(samples, name, who, made.readings, driver.readings)
            _add_labels(samples, name, who, made.readings, clip, numbers)
            turned = pose_error(encode_motion(model, made.frames)[:, :3], motion[:, :3])
            samples.add(f"{name}.pose_error_own", who, turned)
        advance(1)


def add_pictures(
    samples: Samples,
    prefix: str,
    group: str,
    instruments: Instruments,
    ours: Frames,
    truth: Frames,
) -> None:
    """`prefix`.psnr, .ssim and .lpips."""
    samples.add(f"{prefix}.psnr", group, image.psnr(ours, truth))
    samples.add(f"{prefix}.ssim", group, image.ssim(ours, truth))
    if instruments.lpips is not None:
        samples.add(f"{prefix}.lpips", group, instruments.lpips(ours, truth))


def add_readings(
    samples: Samples, prefix: str, group: str, read: Readings, truth: Readings
) -> None:
    """`prefix`.pose_error, .gaze_error, .distance_error against readings of the true pictures, and
    .face_found."""
    samples.add(f"{prefix}.face_found", group, read.found())
    samples.add(f"{prefix}.pose_error", group, pose_error(read.rotation, truth.rotation))
    samples.add(f"{prefix}.gaze_error", group, gaze_error(read.gaze, truth.gaze))
    samples.add(f"{prefix}.distance_error", group, distance_error(read.log_scale, truth.log_scale))


def _add_labels(
    samples: Samples,
    prefix: str,
    group: str,
    read: Readings,
    clip: EvalClip,
    numbers: list[int],
) -> None:
    """`prefix`.…_error_against_label, where the clip's frames have exact labels."""
    found = {}
    if clip.rotation is not None:
        found["pose"] = pose_error(read.rotation, clip.rotation[numbers])
    if clip.gaze is not None:
        found["gaze"] = gaze_error(read.gaze, clip.gaze[numbers])
    if clip.log_scale is not None:
        found["distance"] = distance_error(read.log_scale, clip.log_scale[numbers])
    for name, error in found.items():
        samples.add(f"{prefix}.{name}_error_against_label", group, error)


def _rows(viewed: Viewed, part: slice) -> Viewed:
    read = viewed.readings
    rows = Readings(*(value[part] for value in read[:-1]), read.emotion)
    return Viewed(viewed.frames[part], rows)


def _somebody_else(clips: Sequence[EvalClip], place: int) -> EvalClip | None:
    around = [*clips[place + 1 :], *clips[:place]]
    return next((c for c in around if c.identity != clips[place].identity), None)
