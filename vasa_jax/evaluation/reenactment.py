"""Self- and cross-reenactment: a portrait driven by the frames of a video."""

from collections.abc import Callable, Sequence

import numpy as np

from vasa_jax.evaluation import image_metrics
from vasa_jax.evaluation.identity_metrics import add_identity
from vasa_jax.evaluation.model_calls import decode, encode_motion, evenly_spaced, to_size
from vasa_jax.evaluation.pose_metrics import distance_error, gaze_error, pose_error
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.types import (
    AnalyzedFrames,
    EvalClip,
    FaceMeasurements,
    Gallery,
    MetricNetworks,
    Model,
    Settings,
)
from vasa_jax.typing import Frames


def measure_clips(
    model: Model,
    clips: Sequence[EvalClip],
    networks: MetricNetworks,
    settings: Settings,
    samples: Samples,
    gallery: Gallery,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Add `self.*`, `cross.*`, `floor.*` and `strangers.*`.

    Self: a clip's first frame, driven by its later frames, which are the ground truth. Cross: the
    first frame of the next clip of another person, with the same driver. Floor: the metrics of the
    true frames themselves, the best that can be reached. Strangers: the identity metrics between
    two people. Groups of the statistics are the driven people.
    """
    size = model.config.face.image_size

    def analyze(frames: Frames, video: bool) -> AnalyzedFrames:
        return AnalyzedFrames(frames, networks.analyze(frames, video))

    for index, clip in enumerate(clips):
        numbers = evenly_spaced(clip.num_frames, settings.frames, first=min(1, clip.num_frames - 1))
        true_frames = analyze(to_size(clip.decode_frames([0, *numbers]), size), True)
        source, driver = _rows(true_frames, slice(0, 1)), _rows(true_frames, slice(1, None))
        motion = encode_motion(model, driver.frames)
        ours = analyze(decode(model, source.frames[0], motion), True)
        add_pixel_metrics(samples, "self", clip.identity, networks, ours.frames, driver.frames)
        error = np.abs(ours.measurements.mouth - driver.measurements.mouth)
        samples.add("self.mouth_error", clip.identity, 100 * error)
        add_identity(samples, "floor", clip.identity, networks, driver, source)
        samples.add("floor.face_found", clip.identity, driver.measurements.found())
        _add_label_errors(samples, "floor", clip.identity, driver.measurements, clip, numbers)
        runs: list[tuple[str, str, AnalyzedFrames, AnalyzedFrames, AnalyzedFrames | None]]
        runs = [("self", clip.identity, ours, source, None)]
        other = _other_person(clips, index)
        if other is not None:
            portrait = analyze(to_size(other.decode_frames([0]), size), False)
            crossed = analyze(decode(model, portrait.frames[0], motion), True)
            runs.append(("cross", other.identity, crossed, portrait, driver))
            add_identity(samples, "strangers", other.identity, networks, driver, portrait)
            row = portrait.frames[0], driver.frames[-1], crossed.frames[-1]
            gallery.keep(gallery.reenactments, row)
        for name, identity, made, portrait, rival in runs:
            add_identity(samples, name, identity, networks, made, portrait, rival)
            add_face_errors(samples, name, identity, made.measurements, driver.measurements)
            _add_label_errors(samples, name, identity, made.measurements, clip, numbers)
            own_error = pose_error(encode_motion(model, made.frames)[:, :3], motion[:, :3])
            samples.add(f"{name}.pose_error_own", identity, own_error)
        advance(1)


def add_pixel_metrics(
    samples: Samples,
    prefix: str,
    group: str,
    networks: MetricNetworks,
    ours: Frames,
    truth: Frames,
) -> None:
    """Add `prefix`.psnr, .ssim and .lpips."""
    samples.add(f"{prefix}.psnr", group, image_metrics.psnr(ours, truth))
    samples.add(f"{prefix}.ssim", group, image_metrics.ssim(ours, truth))
    if networks.lpips is not None:
        samples.add(f"{prefix}.lpips", group, networks.lpips(ours, truth))


def add_face_errors(
    samples: Samples, prefix: str, group: str, ours: FaceMeasurements, truth: FaceMeasurements
) -> None:
    """Add `prefix`.face_found, and .pose_error, .gaze_error and .distance_error against
    measurements of the true frames."""
    samples.add(f"{prefix}.face_found", group, ours.found())
    samples.add(f"{prefix}.pose_error", group, pose_error(ours.rotation, truth.rotation))
    samples.add(f"{prefix}.gaze_error", group, gaze_error(ours.gaze, truth.gaze))
    samples.add(f"{prefix}.distance_error", group, distance_error(ours.log_scale, truth.log_scale))


def _add_label_errors(
    samples: Samples,
    prefix: str,
    group: str,
    ours: FaceMeasurements,
    clip: EvalClip,
    numbers: list[int],
) -> None:
    """Add `prefix`.*_error_against_label where the clip has exact labels."""
    found = {}
    if clip.rotation is not None:
        found["pose"] = pose_error(ours.rotation, clip.rotation[numbers])
    if clip.gaze is not None:
        found["gaze"] = gaze_error(ours.gaze, clip.gaze[numbers])
    if clip.log_scale is not None:
        found["distance"] = distance_error(ours.log_scale, clip.log_scale[numbers])
    for name, error in found.items():
        samples.add(f"{prefix}.{name}_error_against_label", group, error)


def _rows(analyzed: AnalyzedFrames, rows: slice) -> AnalyzedFrames:
    """Some of the frames; `emotion`, a mean over all of them, stays."""
    m = analyzed.measurements
    part = FaceMeasurements(
        rotation=m.rotation[rows],
        log_scale=m.log_scale[rows],
        gaze=m.gaze[rows],
        mouth=m.mouth[rows],
        points=m.points[rows],
        expression=m.expression[rows],
        emotion=m.emotion,
    )
    return AnalyzedFrames(analyzed.frames[rows], part)


def _other_person(clips: Sequence[EvalClip], index: int) -> EvalClip | None:
    """The next clip, cyclically, of another person."""
    others = [*clips[index + 1 :], *clips[:index]]
    return next((c for c in others if c.identity != clips[index].identity), None)
