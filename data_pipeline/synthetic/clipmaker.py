"""One clip of a synthetic corpus: speech, motion, rendered frames, labels."""

import functools
from pathlib import Path

import numpy as np

from vasa_jax.data_pipeline.clip import Clip
from vasa_jax.data_pipeline.loading.image_codec import encode_jpeg, encode_png
from vasa_jax.data_pipeline.prepare.split import split_of
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.head import HeadRenderer, render_track
from vasa_jax.data_pipeline.synthetic.identity import Identity
from vasa_jax.data_pipeline.synthetic.performance import perform
from vasa_jax.data_pipeline.synthetic.plan import ClipJob, Plan, clip_id, name_of, person_seed
from vasa_jax.data_pipeline.synthetic.recognise import recognise
from vasa_jax.data_pipeline.synthetic.speech import Kokoro, SpeechClip
from vasa_jax.data_pipeline.synthetic.utterance import mix_voice, utter, voices
from vasa_jax.errors import UserError
from vasa_jax.typing import FPS, SAMPLE_RATE


@functools.lru_cache(1)
def renderer(size: int, assets: Path | None) -> HeadRenderer:
    """This process's renderer: one EGL context serves all its clips.

    Not two: a process has one context at a time, and an earlier renderer would draw wrongly.
    """
    return HeadRenderer(size, assets=assets)


@functools.cache
def speaker() -> Kokoro:
    """This process's speech model."""
    return Kokoro()


@functools.lru_cache(4)
def person_of(plan: Plan, person: int) -> Identity:
    return sample_identity(person_seed(plan, person), plan.assets)


def make_clip(job: ClipJob, plan: Plan) -> Clip:
    """The clip of a job, with every label that is known; the same plan and job give the same.

    Raises UserError where the renderer cannot start or a given sound cannot be read.
    """
    identity = person_of(plan, job.person)
    speech = say(job, plan, identity.sex)
    track = perform((plan.seed, 3, job.person, job.clip), speech)
    frames, labels = render_track(renderer(plan.size, plan.assets), identity, track)
    masks = [encode_png(mask) for mask in labels.pop("masks")]
    if speech.spans is None or not speech.exact:
        labels["phonemes"] = None
    return Clip(
        clip_id=clip_id(plan, job),
        identity=name_of(plan, job.person),
        size=plan.size,
        frames=[encode_jpeg(frame, plan.jpeg_quality) for frame in frames],
        audio=np.round(np.clip(speech.waveform, -1, 1) * 32767).astype(np.int16),
        masks=masks,
        **labels,
    )


def say(job: ClipJob, plan: Plan, sex: float) -> SpeechClip:
    """The speech of a clip. An identity keeps one voice, of its own sex, in all clips."""
    if plan.speech:
        return borrow(job, plan)
    held_out = plan.held_out_voices and job.split != "train"
    choices = voices("m" if sex > 0.5 else "f", held_out)
    if not plan.held_out_voices:
        choices += voices("m" if sex > 0.5 else "f", True)
    rng = np.random.default_rng((plan.seed, 5, job.person))
    voice = str(rng.choice(sorted(choices)))
    if plan.mixed_voices and job.split == "train":
        voice = mix_voice(rng, voice, choices)
    return utter(speaker(), (plan.seed, 2, job.person, job.clip), voice, plan.frames)


def borrow(job: ClipJob, plan: Plan) -> SpeechClip:
    """A stretch of one of the plan's sound files; short files end in silence.

    A person keeps one file, and splits share none where there are files enough. Of four places in
    it the loudest is taken. Raises UserError for an unreadable file and for a silent one.
    """
    from vasa_jax.media.audio import open_audio

    splits = split_of([str(file) for file in plan.speech], plan.val_share, plan.test_share)
    files = [f for f in plan.speech if splits[str(f)] == job.split] or plan.speech
    file = files[job.person % len(files)]
    wave = open_audio(file).waveform
    total = plan.frames * SAMPLE_RATE // FPS
    rng = np.random.default_rng((plan.seed, 2, job.person, job.clip))
    starts = rng.integers(0, max(1, len(wave) - total + 1), 4)
    taken = max((wave[s : s + total] for s in starts), key=lambda w: float(np.square(w).sum()))
    if not np.abs(taken).max() > 0:
        raise UserError(f"{file}: is silent; take it out of the folder of speech")
    piece = np.zeros(total, np.float32)
    piece[: len(taken)] = taken
    spans = recognise(piece) if plan.recognise else None
    return SpeechClip(piece, spans, file.name, exact=False)
