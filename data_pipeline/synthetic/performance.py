"""All motion of a clip (mouth, head, gaze, blinks, emotion) from speech and a seed."""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.audio_to_mouth import mouth_from_audio
from vasa_jax.data_pipeline.synthetic.blinks import blink_curve, blink_times
from vasa_jax.data_pipeline.synthetic.coarticulation import articulate, enforce
from vasa_jax.data_pipeline.synthetic.emotion import (
    brow_flashes,
    draw_emotion,
    expression,
    liveliness,
)
from vasa_jax.data_pipeline.synthetic.gaze import look, look_coefficients, main_direction
from vasa_jax.data_pipeline.synthetic.headmotion import REST_SD, move_head
from vasa_jax.data_pipeline.synthetic.prosody import RATE, analyse, at_frames, smooth
from vasa_jax.data_pipeline.synthetic.speech import SpeechClip, frame_labels
from vasa_jax.data_pipeline.synthetic.track import MotionTrack
from vasa_jax.data_pipeline.synthetic.visemes import PLACE
from vasa_jax.typing import Float


class Style(NamedTuple):
    """Style of a clip's motion."""

    emotion: Float[np.ndarray, "8"]
    main_gaze: Float[np.ndarray, "2"]  # radians
    rest: Float[np.ndarray, "3"]  # pitch, yaw, roll
    lean: float  # head widths towards (-) or away from the camera
    # lively, articulation, blinking: factors.
    lively: float
    manner: Float[np.ndarray, "3"]  # factors of the head's pitch, yaw and roll in speech
    articulation: float
    blinking: float
    skew: float  # how much stronger the left half of the face moves


def draw_style(rng: np.random.Generator) -> Style:
    """A style by chance. Heads turn part of the way to where they look."""
    main = main_direction(rng)
    share = rng.uniform(0.2, 0.7)
    toward = share * np.array([-main[1], -main[0], 0.0])
    rest = np.clip(rng.standard_normal(3), -2.2, 2.2) * REST_SD + toward
    return Style(
        emotion=draw_emotion(rng),
        main_gaze=main,
        rest=rest,
        lean=float(np.clip(rng.normal(0, 0.3), -0.5, 0.5)),
        lively=float(np.clip(rng.lognormal(0, 0.3), 0.5, 2.0)),
        manner=np.clip(rng.lognormal(0, 0.25, 3), 0.6, 1.7),
        articulation=float(np.clip(rng.normal(1.15, 0.15), 0.8, 1.5)),
        blinking=float(np.clip(rng.lognormal(0, 0.25), 0.6, 1.7)),
        skew=float(np.clip(rng.normal(0, 0.05), -0.12, 0.12)),
    )


def perform(
    seed: int | tuple[int, ...], speech: SpeechClip, style: Style | None = None
) -> MotionTrack:
    """The movements of a head that speaks `speech`, at 25 fps; as many frames as it has.

    Everything that speech does not settle is drawn from `seed`; the same arguments give the same
    track. Without phonemes the mouth follows the audio alone (`audio_to_mouth`); the track's
    phonemes are -1 then, and where they were only recognised. Values are float32, coefficients in
    [0, 1].
    """
    rng = np.random.default_rng(seed)
    drawn = draw_style(rng)
    style = drawn if style is None else style
    prosody = analyse(speech.waveform)
    count = len(prosody.loudness)
    if speech.spans is None:
        mouth = mouth_from_audio(speech.waveform, prosody, style.articulation)
    else:
        mouth = articulate(speech.spans, prosody, style.articulation)
    lively = style.lively * liveliness(style.emotion)
    head = move_head(rng, prosody, speech.spans, style.rest, lively, style.manner)
    gaze = look(rng, prosody, style.main_gaze)
    clock = (np.arange(count) + 0.5) / RATE
    talking = smooth(prosody.speaking, 0.25)
    face = mouth.arkit + expression(style.emotion, talking) * _breathing(rng, clock)[:, None]
    face += brow_flashes(rng, head.accents, head.strength, clock)
    face = np.clip(_skew(face, style.skew), 0, 1)
    face = enforce(face, mouth)
    face += look_coefficients(gaze.direction, head.rotation)
    shut = blink_curve(blink_times(rng, prosody, style.blinking, head.accents), count)
    for side in ("Left", "Right"):
        at = PLACE[f"eyeBlink{side}"]
        face[:, at] = np.maximum(face[:, at], shut)
        # A wide or squinting lid would keep the blink from closing.
        for name in ("eyeWide", "eyeSquint"):
            face[:, PLACE[name + side]] *= 1 - shut
    offset = head.offset + np.array([0.0, 0.0, style.lean])
    frames = speech.frames
    phonemes = np.full(frames, -1, np.int16)
    if speech.spans is not None and speech.exact:
        phonemes = frame_labels(speech.spans, frames)
    return MotionTrack(
        arkit=np.clip(at_frames(face, frames), 0, 1).astype(np.float32),
        rotation=at_frames(head.rotation, frames).astype(np.float32),
        offset=at_frames(offset, frames).astype(np.float32),
        gaze=at_frames(gaze.direction, frames).astype(np.float32),
        emotion=style.emotion.astype(np.float32),
        phonemes=phonemes,
    )


def _breathing(rng: np.random.Generator, clock: Float[np.ndarray, " r"]) -> Float[np.ndarray, " r"]:
    """Expressions are not frozen: they swell and fade by a tenth, over some seconds."""
    phase, rate = rng.random(), rng.uniform(0.12, 0.3)
    return 1 + 0.1 * np.sin(2 * np.pi * (clock * rate + phase))


def _skew(face: Float[np.ndarray, "r 52"], skew: float) -> Float[np.ndarray, "r 52"]:
    out = face.copy()
    for name, at in PLACE.items():
        if name.startswith(("mouth", "brow", "cheek")) and name not in ("mouthLeft", "mouthRight"):
            out[:, at] *= (1 + skew) if name.endswith("Left") else 1
            out[:, at] *= (1 - skew) if name.endswith("Right") else 1
    return out
