"""Audio-driven generation: lip sync against the true video, head motion, and diversity of seeds."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.evaluation import lip_sync
from vasa_jax.evaluation.model_calls import decode_source, evenly_spaced, generate_all, to_size
from vasa_jax.evaluation.pose_metrics import NORMS, delta_pose, gaze_error, pose_error
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.types import (
    EvalClip,
    FaceMeasurements,
    Gallery,
    MetricNetworks,
    Model,
    MouthCurve,
    ScoreFrames,
    Settings,
)
from vasa_jax.inference.request import Controls
from vasa_jax.motion.continuity import boundary_jump_ratio
from vasa_jax.typing import POSE_DIM, SAMPLES_PER_FRAME, Float, Frames

FVD_FRAMES = 25
"""Frames of each video of the Frechet video distance (VASA-1, section 4.2)."""


class VideoFeatures:
    """Features of generated and true videos for the Frechet video distance; frames are dropped."""

    def __init__(self) -> None:
        self.ours: list[np.ndarray] = []
        self.truth: list[np.ndarray] = []

    def add(self, networks: MetricNetworks, ours: Frames, truth: Frames | None) -> None:
        """Add each whole run of `FVD_FRAMES` frames of ours and, unless None, of the truth."""
        if networks.video_features is None:
            return
        for frames, kept in ((ours, self.ours), (truth, self.truth)):
            count = 0 if frames is None else len(frames) // FVD_FRAMES
            if frames is not None and count:
                runs = frames[: count * FVD_FRAMES]
                kept.append(
                    networks.video_features(runs.reshape(count, FVD_FRAMES, *frames.shape[1:]))
                )


def measure_audio_driven(
    model: Model,
    clips: Sequence[EvalClip],
    networks: MetricNetworks,
    settings: Settings,
    samples: Samples,
    gallery: Gallery,
    advance: Callable[[int], None] = lambda n: None,
) -> tuple[Float[np.ndarray, " lags"], VideoFeatures]:
    """Add `speech.*`, `truth.*`, and by the metrics of `vasa-jax score` `score.*` and
    `score_truth.*`; return the mean lip correlation by lag, and video features.

    Each clip's first frame is the portrait and its audio drives it; the clip's own frames are the
    truth of the mouth. Gaze and distance are set to (0, 0) and 1, the defaults of `generate`.
    Groups of the statistics are people.
    """
    size, std = model.config.face.image_size, model.stats.std
    lags, videos = [], VideoFeatures()
    for clip in clips:
        count = min(clip.num_frames, settings.speech_frames)
        true_frames = to_size(clip.decode_frames(range(count)), size)
        waveform = clip.waveform[: count * SAMPLES_PER_FRAME]
        truth, true_track = _measured(networks, true_frames, waveform)
        if networks.scores is not None:
            _add_scores(samples, "score_truth", clip.identity, networks.scores, true_track, None)
        features = model.audio(waveform)[:count]
        seeds = list(range(settings.seeds))
        controls = [Controls()] * len(seeds)
        source = model.encode(true_frames[0])
        motions = generate_all(model, waveform, features, controls, seeds, source)
        phonemes = clip.phonemes[:count] if clip.phonemes is not None else None
        for seed, motion in enumerate(motions):
            frames = decode_source(model, source, motion)
            ours, track = _measured(networks, frames, waveform)
            if networks.scores is not None:
                _add_scores(samples, "score", clip.identity, networks.scores, track, true_track)
            lags.append(lip_sync.lagged_correlation(ours.mouth, truth.mouth))
            _add_lip_sync(samples, clip.identity, ours, truth, lags[-1], phonemes)
            _add_head(samples, clip.identity, ours, motion, model)
            videos.add(networks, frames, true_frames if seed == 0 else None)
            if seed == 0:
                times = evenly_spaced(count, gallery.times)
                gallery.keep(gallery.talks, (clip.identity, frames[times]))
                if not gallery.shared:
                    _share_motion(model, clips, clip, motion[times], frames[times], gallery)
                curve = MouthCurve(clip.name, ours.mouth, truth.mouth, waveform, phonemes)
                gallery.keep(gallery.mouths, curve)
        for norm in NORMS:
            samples.add(f"truth.delta_pose_{norm}", clip.identity, delta_pose(truth.rotation, norm))
        if len(motions) > 1:
            varied = diversity(np.stack(motions), std)
            samples.add("speech.diversity_pose", clip.identity, varied.pose)
            samples.add("speech.diversity_dyn", clip.identity, varied.dyn)
        advance(1)
    return _mean(lags), videos


def _share_motion(
    model: Model,
    clips: Sequence[EvalClip],
    clip: EvalClip,
    motion: Float[np.ndarray, "t m"],
    frames: Frames,
    gallery: Gallery,
) -> None:
    """Keep one motion on the first frames of other people. frames: on the clip's own."""
    gallery.keep(gallery.shared, (clip.identity, frames))
    seen = {clip.identity}
    for other in clips:
        if other.identity not in seen and len(gallery.shared) < gallery.limit:
            seen.add(other.identity)
            portrait = to_size(other.decode_frames([0]), model.config.face.image_size)[0]
            moved = decode_source(model, model.encode(portrait), motion)
            gallery.keep(gallery.shared, (other.identity, moved))


def _measured(
    networks: MetricNetworks, frames: Frames, waveform: Float[np.ndarray, " n"]
) -> tuple[FaceMeasurements, Any]:
    """Measurements of a video, and its track where the metrics of `score` are asked for."""
    if networks.scores is None:
        return networks.analyze(frames, True), None
    track = networks.scores.track(frames, waveform)
    return track.faces, track


def _add_scores(
    samples: Samples, prefix: str, group: str, scores: ScoreFrames, track: Any, real: Any
) -> None:
    """Add `prefix`.KEY of every figure of `vasa-jax score`."""
    for key, value in scores.score(track, real).items():
        samples.add(f"{prefix}.{key}", group, value)


class Diversity(NamedTuple):
    """Mean difference between samples of one clip."""

    pose: float  # angle between the heads, degrees
    dyn: float  # root mean square difference of z_dyn, in standard deviations of the motion data


def diversity(motions: Float[np.ndarray, "seeds t m"], std: Float[np.ndarray, " m"]) -> Diversity:
    """Differences over all pairs of seeds and all frames; 0 for a deterministic model.

    motions: [pose, z_dyn] in the face model's units. Raises ValueError for fewer than two samples.
    """
    if len(motions) < 2:
        raise ValueError("diversity needs two samples or more")
    pairs = list(combinations(range(len(motions)), 2))
    angles = [pose_error(motions[i][:, :3], motions[j][:, :3]).mean() for i, j in pairs]
    dyn = motions[..., POSE_DIM:] / std[POSE_DIM:]
    squares = [np.square(dyn[i].astype(np.float64) - dyn[j]).mean() for i, j in pairs]
    return Diversity(float(np.mean(angles)), float(np.sqrt(np.mean(squares))))


def _add_lip_sync(
    samples: Samples,
    identity: str,
    ours: FaceMeasurements,
    truth: FaceMeasurements,
    lags: Float[np.ndarray, " lags"],
    phonemes: tuple[str, ...] | None,
) -> None:
    samples.add("speech.face_found", identity, ours.found())
    correlation = lip_sync.correlation(ours.mouth, truth.mouth)
    samples.add("speech.mouth_correlation", identity, correlation)
    samples.add("speech.offset", identity, lip_sync.audio_offset(lags))
    if phonemes is None:
        return
    samples.add("speech.closed", identity, lip_sync.closures(ours.mouth, phonemes))
    samples.add("truth.closed", identity, lip_sync.closures(truth.mouth, phonemes))
    for name, error in lip_sync.aperture_errors(ours.mouth, truth.mouth, phonemes).items():
        samples.add(f"speech.aperture_error {name}", identity, error)


def _add_head(
    samples: Samples,
    identity: str,
    ours: FaceMeasurements,
    motion: Float[np.ndarray, "t m"],
    model: Model,
) -> None:
    ahead = np.zeros((len(motion), 2))
    samples.add("speech.gaze_error", identity, gaze_error(ours.gaze, ahead))
    for norm in NORMS:
        samples.add(f"speech.delta_pose_{norm}", identity, delta_pose(ours.rotation, norm))
    samples.add("speech.delta_pose_motion", identity, delta_pose(motion[:, :3]))
    samples.add("speech.jump_ratio", identity, _jump_ratio(motion, model))


def _jump_ratio(motion: Float[np.ndarray, "t m"], model: Model) -> float:
    """Of z-scores, which weigh pose and z_dyn alike; NaN where the clip is one window long."""
    try:
        return boundary_jump_ratio(model.stats.normalise(motion), model.config.motion.window)
    except UserError:
        return float("nan")


def _mean(rows: list[Float[np.ndarray, " lags"]]) -> Float[np.ndarray, " lags"]:
    """Mean over the clips of each lag's known values."""
    table = np.array(rows)
    known = np.isfinite(table)
    with np.errstate(invalid="ignore"):
        return np.where(known, table, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
