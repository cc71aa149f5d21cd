"""The spectrogram of `av_sync` is the audio room's, of the clip at one level."""

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from vasa_jax.audio.mel import log_mel
from vasa_jax.sync.sound import LEVEL, log_mel_frames


def test_equals_the_audio_rooms():
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(9 * 640).astype(np.float32)
    wave *= LEVEL / np.sqrt(np.square(wave).mean())  # shorter than the stretch that sets the level
    found = log_mel_frames(wave, 20)
    wanted = np.asarray(log_mel(jnp.asarray(wave[None]), 20))[0].reshape(9, 80)
    assert_allclose(found, wanted, atol=2e-4)


def test_the_level_does_not_matter():
    wave = np.random.default_rng(1).standard_normal(40 * 640).astype(np.float32)
    wave[: 20 * 640] *= 0.01
    assert_allclose(log_mel_frames(0.2 * wave, 8), log_mel_frames(0.01 * wave, 8), atol=1e-3)


def test_silence_is_no_error():
    assert log_mel_frames(np.zeros(3 * 640 + 5, np.float32), 8).shape == (3, 32)
    assert np.ptp(log_mel_frames(np.zeros(1_000, np.float32), 8)) < 1e-6
    assert log_mel_frames(np.zeros(600, np.float32), 8).shape == (0, 32)
