"""Audio-driven heads: the mouth against the truth, the motion's smoothness and variety."""

from collections.abc import Callable, Sequence

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.evaluation import speech
from vasa_jax.evaluation.angles import NORMS, delta_pose, gaze_error
from vasa_jax.evaluation.response import diversity
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.structs import (
    EvalClip,
    Gallery,
    Instruments,
    Model,
    MouthCurve,
    Readings,
    Settings,
)
from vasa_jax.evaluation.use import sample_all, speak, spread, to_size
from vasa_jax.inference.request import Controls
from vasa_jax.motion.continuity import boundary_jump_ratio
from vasa_jax.typing import SAMPLES_PER_FRAME, Float, Frames

FVD_FRAMES = 25
"""VASA-1, section 4.2: Frechet video distance over runs of 25 neighbouring frames."""


class Videos:
    """Runs of frames for the Frechet video distance, kept as features: pictures are too large."""

    def __init__(self):
        self.ours: list[np.ndarray] = []
        self.truth: list[np.ndarray] = []

    def add(self, instruments: Instruments, ours: Frames, truth: Frames | None) -> None:
        """Every whole run of `FVD_FRAMES` frames of ours and, unless None, of the truth."""
        if instruments.video_features is None:
            return
        for frames, kept in ((ours, self.ours), (truth, self.truth)):
            count = 0 if frames is None else len(frames) // FVD_FRAMES
            if count:
                runs = frames[: count * FVD_FRAMES]
                kept.append(
                    instruments.video_features(runs.reshape(count, FVD_FRAMES, *frames.shape[1:]))
                )


def measure_speech(
    model: Model,
    clips: Sequence[EvalClip],
    instruments: Instruments,
    settings: Settings,
    samples: Samples,
    gallery: Gallery,
    advance: Callable[[int], None] = lambda n: None,
) -> tuple[Float[np.ndarray, " lags"], Videos]:
    """Adds `speech.*`; returns the mean correlation with the truth by lag, and the videos.

    Each clip's first frame is the portrait, its sound the speech, and its own frames the truth of
    the mouth; gaze and distance are commanded to be (0, 0) and 1, as `generate` does. Groups are
    the people.
    """
    size, std = model.config.face.image_size, model.stats.std
    lags, videos = [], Videos()
    for clip in clips:
        count = min(clip.count, settings.speech_frames)
        truth = to_size(clip.pictures(range(count)), size)
        seen = instruments.reader(truth, True)
        sound = clip.waveform[: count * SAMPLES_PER_FRAME]
        features = model.audio(sound)[:count]
        seeds = list(range(settings.seeds))
        controls = [Controls()] * len(seeds)
        source = model.encode(truth[0])
        motions = sample_all(model, sound, features, controls, seeds, source)
        spoken = clip.phonemes[:count] if clip.phonemes is not None else None
        for seed, motion in enumerate(motions):
            ours = speak(model, source, motion, controls[seed])
            read = instruments.reader(ours, True)
            lags.append(speech.lagged_correlation(read.mouth, seen.mouth))
            _add_mouth(samples, clip.identity, read, seen, lags[-1], spoken)
            _add_head(samples, clip.identity, read, motion, model)
            videos.add(instruments, ours, truth if seed == 0 else None)
            if seed == 0:
                times = spread(count, gallery.times)
                gallery.keep(gallery.talks, (clip.identity, ours[times]))
                curve = MouthCurve(clip.name, read.mouth, seen.mouth, sound, spoken)
                gallery.keep(gallery.mouths, curve)
        for norm in NORMS:
            samples.add(f"truth.delta_pose_{norm}", clip.identity, delta_pose(seen.rotation, norm))
        if len(motions) > 1:
            varied = diversity(np.stack(motions), std)
            samples.add("speech.diversity_pose", clip.identity, varied.pose)
            samples.add("speech.diversity_dyn", clip.identity, varied.dyn)
        advance(1)
    return _mean(lags), videos


def _add_mouth(
    samples: Samples,
    who: str,
    read: Readings,
    seen: Readings,
    lags: Float[np.ndarray, " lags"],
    phonemes: tuple[str, ...] | None,
) -> None:
    samples.add("speech.face_found", who, read.found())
    samples.add("speech.mouth_correlation", who, speech.correlation(read.mouth, seen.mouth))
    samples.add("speech.offset", who, speech.audio_offset(lags))
    if phonemes is None:
        return
    samples.add("speech.closed", who, speech.closures(read.mouth, phonemes))
    samples.add("truth.closed", who, speech.closures(seen.mouth, phonemes))
    for name, error in speech.aperture_errors(read.mouth, seen.mouth, phonemes).items():
        samples.add(f"speech.aperture_error {name}", who, error)


def _add_head(
    samples: Samples, who: str, read: Readings, motion: Float[np.ndarray, "t m"], model: Model
) -> None:
    ahead = np.zeros((len(motion), 2))
    samples.add("speech.gaze_error", who, gaze_error(read.gaze, ahead))
    for norm in NORMS:
        samples.add(f"speech.delta_pose_{norm}", who, delta_pose(read.rotation, norm))
    samples.add("speech.delta_pose_motion", who, delta_pose(motion[:, :3]))
    samples.add("speech.jump_ratio", who, _jump_ratio(motion, model))


def _jump_ratio(motion: Float[np.ndarray, "t m"], model: Model) -> float:
    """In z-scores, so that pose and z_dyn count alike; NaN where a clip is one window long."""
    try:
        return boundary_jump_ratio(model.stats.normalise(motion), model.config.motion.window)
    except UserError:
        return float("nan")


def _mean(rows: list[Float[np.ndarray, " lags"]]) -> Float[np.ndarray, " lags"]:
    table = np.array(rows)
    known = np.isfinite(table)
    with np.errstate(invalid="ignore"):
        return np.where(known, table, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
