"""The number that a window's sound gives its noise."""

import zlib

import numpy as np

from vasa_jax.audio.digest import sound_digest, sound_digests

SOUND = np.random.default_rng(0).uniform(-0.9, 0.9, 640 * 50 - 100).astype(np.float32)


def test_it_is_of_the_samples_as_a_16_bit_file_holds_them():
    stored = np.round(SOUND.astype(np.float64) * 32767).astype(np.int16)
    assert sound_digest(SOUND) == zlib.crc32(stored.tobytes())
    assert sound_digest((stored / 32767).astype(np.float32)) == sound_digest(SOUND)
    other = SOUND.copy()
    other[77] += 1 / 32767
    assert sound_digest(other) != sound_digest(SOUND)
    assert sound_digest(np.array([2.0, -3.0], np.float32)) == sound_digest(
        np.array([1.0, -1.0], np.float32)
    )


def test_silence_after_the_end_changes_nothing_and_no_sound_is_0():
    assert sound_digest(np.append(SOUND, np.zeros(100, np.float32))) == sound_digest(SOUND)
    assert sound_digest(SOUND[:0]) == sound_digest(np.zeros(640, np.float32)) == 0


def test_windows_are_counted_from_the_first_frame():
    whole = sound_digests(SOUND, 0, 50, 20)
    assert whole.dtype == np.uint32
    assert [int(d) for d in whole] == [
        sound_digest(SOUND[640 * a : 640 * (a + 20)]) for a in (0, 20, 40)
    ]
    np.testing.assert_array_equal(sound_digests(SOUND, 20, 30, 20), whole[1:])
    assert sound_digests(SOUND, 50, 0, 20).shape == (0,)
