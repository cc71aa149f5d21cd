"""Changed sound keeps its words, its time and its range; what changes is who and where."""

import numpy as np
import pytest
import scipy.signal

from vasa_jax.audio.augment import CUT, SPEED, augment_channel, augment_speed

RATE = 16_000


def bursts(seed=0, seconds=2.0):
    """Noise that is loud now and then."""
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.random(int(seconds * 10)) < 0.5, RATE // 10)
    return (0.1 * loud * rng.standard_normal(len(loud))).astype(np.float32)


def test_another_room_keeps_time_and_range():
    wave = bursts()
    envelope = np.abs(wave).reshape(-1, 320).mean(1)
    levels, dull = [], []
    for seed in range(40):
        found = augment_channel(np.random.default_rng(seed), wave)
        assert found.shape == wave.shape
        assert found.dtype == np.float32
        assert np.abs(found).max() <= 1
        here = np.abs(found).reshape(-1, 320).mean(1)
        assert np.corrcoef(here, envelope)[0, 1] > 0.8
        levels.append(np.sqrt(np.square(found).mean()))
        hertz, power = scipy.signal.welch(found, RATE)
        dull.append(10 * np.log10(power[hertz > CUT[1]].mean() / power[hertz < 1000].mean()))
    assert 10 < 20 * np.log10(max(levels) / min(levels)) < 25
    assert max(dull) - min(dull) > 20
    same = (augment_channel(np.random.default_rng(3), wave) for _ in range(2))
    assert np.array_equal(*same)


def test_silence_stays_silent():
    for seed in range(5):
        found = augment_channel(np.random.default_rng(seed), np.zeros(RATE, np.float32))
        assert np.array_equal(found, np.zeros(RATE))


@pytest.mark.parametrize("total", [80, 40])
def test_another_speaker_is_higher_or_deeper_under_the_same_labels(total):
    """One tone a class, five frames each: pitch tells the class, divided by the speed."""
    rng = np.random.default_rng(1)
    labels = np.repeat(rng.permutation(total // 5), 5)
    pitch = 300.0 * 1.1 ** (labels % 20)
    wave = np.sin(2 * np.pi * np.cumsum(np.repeat(pitch, 640)) / RATE).astype(np.float32)
    speeds = set()
    for seed in range(20):
        found, told = augment_speed(np.random.default_rng(seed), wave, labels, 40)
        assert found.shape == (40 * 640,)
        assert told.shape == (40,)
        frames = found.reshape(40, 640)
        crossings = (np.diff(np.signbit(frames[:, 64:-64]), axis=1)).sum(1)
        heard = crossings / 2 / (511 / RATE)
        speed = np.median(heard / (300.0 * 1.1 ** (told % 20)))
        assert 1 / SPEED - 0.02 < speed < SPEED + 0.02
        speeds.add(round(float(speed), 2))
        inner = np.flatnonzero((told[1:-1] == told[:-2]) & (told[1:-1] == told[2:])) + 1
        ratio = heard[inner] / (300.0 * 1.1 ** (told[inner] % 20)) / speed
        np.testing.assert_allclose(ratio, 1, atol=0.12)
    assert len(speeds) > 5
    if total == 40:
        assert max(speeds) <= 1.02  # there is no more of the clip
