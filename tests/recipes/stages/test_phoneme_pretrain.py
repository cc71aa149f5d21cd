"""The mel encoder learns made-up phonemes, and the same way twice."""

import jax
import numpy as np
import pytest

from recipes.demo.stages.phoneme_pretrain import Spoken, gather, pretrain
from vasa_jax.config import get_config
from vasa_jax.errors import UserError

CONFIG = get_config(
    "debug", ["audio.encoder=mel", "audio.variant=", "audio.mel_width=48", "audio.mel_blocks=2"]
)
PITCHES = (0.0, 300.0, 900.0, 2500.0)


def spoken(seed, clips=6, frames=40):
    """A tone of its own for every class but the pause; five frames of each, any level."""
    rng = np.random.default_rng(seed)
    phonemes = np.repeat(rng.integers(0, 4, (clips, frames // 5)), 5, 1)
    pitch = np.repeat(np.array(PITCHES)[phonemes] * rng.uniform(0.9, 1.1, (clips, 1)), 640, 1)
    wave = np.sin(2 * np.pi * np.cumsum(pitch / 16_000, 1)) * rng.uniform(0.02, 0.3, (clips, 1))
    wave = wave + 1e-3 * rng.standard_normal(wave.shape)
    return Spoken(np.round(wave * 32767).astype(np.int16), phonemes.astype(np.int16))


def test_unheard_clips_are_read():
    held = spoken(9)
    held.phonemes[0, :3] = -1  # unknown: not counted
    lines = []
    first, again = (
        pretrain(CONFIG, spoken(1), held, steps=100, batch=8, frames=25, seed=3, tell=lines.append)
        for _ in range(2)
    )
    assert first.held["frames"] > 0.9
    assert first.held["spoken"] > 0.9
    assert lines[0].startswith("100/100 loss")
    same = jax.tree.map(np.array_equal, first.audio, again.audio)
    assert all(jax.tree.leaves(same))
    untrained = pretrain(CONFIG, spoken(1), held, steps=1, batch=2, frames=25)
    assert untrained.held["frames"] < 0.6


def test_what_does_not_fit():
    data = spoken(1)
    with pytest.raises(UserError, match="comes pretrained"):
        pretrain(get_config("base256"), data)
    with pytest.raises(UserError, match="no frame has a known phoneme"):
        pretrain(CONFIG, data._replace(phonemes=np.full_like(data.phonemes, -1)))
    with pytest.raises(UserError, match="does not fit"):
        pretrain(CONFIG, data._replace(waveform=data.waveform[:, :-640]))
    with pytest.raises(UserError, match="no clips"):
        gather([])
    both = gather(
        [(data.waveform[0], data.phonemes[0]), (data.waveform[1, :6400], data.phonemes[1, :10])]
    )
    assert both.waveform.shape == (2, 6400)
