"""Pretraining of the mel encoder: frame-wise phoneme classification and loudness regression.

Not from the paper, whose audio encoder (Wav2Vec2) comes pretrained on speech. The labels are those
of synthetic speech. The linear head is dropped; the encoder's parameters start stage 2.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vasa_jax.audio import build_audio_encoder
from vasa_jax.audio.augment import augment_channel, augment_speed
from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.typing import SAMPLES_PER_FRAME, Array, Float, Int

_LOUDNESS = 0.1
"""Weight of the loudness' squared error beside the phonemes' cross-entropy."""
_WARMUP, _DECAY, _CLIP, _SMOOTHING = 50, 1e-2, 1.0, 0.05


class Spoken(NamedTuple):
    """c clips of t frames."""

    waveform: Int[np.ndarray, "c n"]  # int16 at 16 kHz, n = 640 t
    phonemes: Int[np.ndarray, "c t"]  # class at the middle of each frame; negative: unknown


class Pretrained(NamedTuple):
    """The outcome of `pretrain`."""

    audio: Any  # the encoder's parameters: "audio" of `TrainState.params` in stage 2
    held: dict[str, float] | None  # held-out accuracy of all "frames", of "spoken" ones, of "pause"


def pretrain(
    config: Config,
    spoken: Spoken,
    held: Spoken | None = None,
    *,
    steps: int = 1500,
    batch: int = 16,
    frames: int = 64,
    learning_rate: float = 1.5e-3,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Pretrained:
    """Train the mel encoder on random stretches of `frames` frames of the clips.

    The same arguments give the same parameters on the same machine. Class 0 is the pause. With
    `train_motion.augment_audio` each stretch changes speaker, room and microphone. tell: called
    with a line of progress every 100 steps. Raises UserError for another encoder than `mel`, and
    for clips whose shapes do not fit.
    """
    if config.audio.encoder != "mel":
        raise UserError(
            f"audio.encoder={config.audio.encoder!r} comes pretrained; only 'mel' is "
            "trained on phonemes"
        )
    for part in (spoken, held):
        _check(part)
    frames = min(frames, spoken.phonemes.shape[1])
    classes = int(max(p.phonemes.max() for p in (spoken, held) if p is not None)) + 1
    encoder = build_audio_encoder(config.audio, config.dtype)
    keys = jax.random.split(jax.random.key(seed), 2)
    wave = jnp.zeros((1, SAMPLES_PER_FRAME * 4), jnp.float32)
    params = {
        "audio": encoder.init(keys[0], wave)["params"],
        "head": jax.nn.initializers.lecun_normal()(keys[1], (config.audio.dim, classes + 1)),
        "bias": jnp.zeros(classes + 1),
    }
    warmup = min(_WARMUP, steps // 2)
    rate = optax.warmup_cosine_decay_schedule(
        learning_rate / (warmup + 1), learning_rate, warmup, steps
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(_CLIP), optax.adamw(rate, weight_decay=_DECAY)
    )

    def read(params, wave) -> Float[Array, "b t o"]:
        features = encoder.apply({"params": params["audio"]}, wave.astype(jnp.float32) / 32767)
        return features.astype(jnp.float32) @ params["head"] + params["bias"]

    def loss(params, wave, phonemes):
        out = read(params, wave)
        known = (phonemes >= 0).astype(jnp.float32)
        target = optax.smooth_labels(jax.nn.one_hot(phonemes, classes), _SMOOTHING)
        wrong = optax.softmax_cross_entropy(out[..., :classes], target)
        hard = jnp.square(out[..., classes] - _loudness(wave))
        right = out[..., :classes].argmax(-1) == phonemes
        of = jnp.maximum(known.sum(), 1)
        cross, share = (wrong * known).sum() / of, (right * known).sum() / of
        return cross + _LOUDNESS * hard.mean(), {"loss": cross, "right": share}

    @jax.jit
    def step(params, state, wave, phonemes):
        grads, parts = jax.grad(loss, has_aux=True)(params, wave, phonemes)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, parts

    draw = _draw_changed if config.train_motion.augment_audio else _draw
    state, rng = optimizer.init(params), np.random.default_rng((seed, 1))
    for number in range(1, steps + 1):
        params, state, parts = step(params, state, *draw(rng, spoken, batch, frames))
        if number % 100 == 0 or number == steps:
            words = " ".join(f"{name} {float(value):.3f}" for name, value in parts.items())
            tell(f"{number}/{steps} {words}")
    found = None if held is None else _score(jax.jit(read), params, held, classes)
    return Pretrained(jax.device_get(params["audio"]), found)


def gather(clips: Sequence[tuple[np.ndarray, np.ndarray]]) -> Spoken:
    """(waveform, phonemes) of clips stacked, cut to the shortest. Raises UserError for no clips."""
    if not clips:
        raise UserError("there are no clips to learn phonemes from")
    count = min(len(phonemes) for _, phonemes in clips)
    waves = np.stack([wave[: count * SAMPLES_PER_FRAME] for wave, _ in clips])
    return Spoken(waves, np.stack([phonemes[:count] for _, phonemes in clips]))


def _check(spoken: Spoken | None) -> None:
    if spoken is None:
        return
    waves, phonemes = spoken.waveform.shape, spoken.phonemes.shape
    if waves != (phonemes[0], phonemes[1] * SAMPLES_PER_FRAME) or not waves[0]:
        raise UserError(
            f"sound {waves} does not fit phonemes {phonemes} at {SAMPLES_PER_FRAME} samples a frame"
        )
    if not (spoken.phonemes >= 0).any():
        raise UserError("no frame has a known phoneme; recognised speech has none")


def _loudness(wave: Int[Array, "b n"]) -> Float[Array, "b t"]:
    """log10 of each frame's power over -30 dB, in Bel."""
    rows = wave.reshape(wave.shape[0], -1, SAMPLES_PER_FRAME).astype(jnp.float32) / 32767
    return jnp.log10(jnp.square(rows).mean(-1) + 1e-6) + 3.0


def _draw(rng: np.random.Generator, spoken: Spoken, batch: int, frames: int):
    clips = rng.integers(0, len(spoken.phonemes), batch)
    starts = rng.integers(0, spoken.phonemes.shape[1] - frames + 1, batch)
    waves = [
        spoken.waveform[c, s * SAMPLES_PER_FRAME : (s + frames) * SAMPLES_PER_FRAME]
        for c, s in zip(clips, starts, strict=True)
    ]
    labels = [spoken.phonemes[c, s : s + frames] for c, s in zip(clips, starts, strict=True)]
    return np.stack(waves), np.stack(labels).astype(np.int32)


def _draw_changed(rng: np.random.Generator, spoken: Spoken, batch: int, frames: int):
    waves, labels = [], []
    for c in rng.integers(0, len(spoken.phonemes), batch):
        wave = spoken.waveform[c].astype(np.float32) / 32767
        wave, label = augment_speed(rng, wave, spoken.phonemes[c], frames)
        waves.append(np.round(augment_channel(rng, wave) * 32767).astype(np.int16))
        labels.append(label)
    return np.stack(waves), np.stack(labels).astype(np.int32)


def _score(read: Callable, params: Any, held: Spoken, classes: int) -> dict[str, float]:
    guess = np.concatenate(
        [np.asarray(read(params, wave[None]))[..., :classes].argmax(-1) for wave in held.waveform]
    )
    right, truth = guess == held.phonemes, held.phonemes
    rooms = {"frames": truth >= 0, "spoken": truth > 0, "pause": truth == 0}
    return {name: float(right[room].mean()) for name, room in rooms.items() if room.any()}
