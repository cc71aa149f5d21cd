"""Sound of several clips on several devices: the features of each clip alone."""

import jax
import numpy as np
import pytest

from tests.assets import hum, write_wav
from tests.inference.test_stream import SMALL
from vasa_jax.audio import build_audio_encoder, encode_clip, wav2vec2, whisper
from vasa_jax.audio.samples import Standardised
from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.inference.audio_features import ChunkedEncoder
from vasa_jax.inference.lanes import Lanes
from vasa_jax.media import stored_sound
from vasa_jax.media.audio import open_audio
from vasa_jax.media.stored_sound import StoredSound


def _speech(seconds, seed):
    noise = np.random.default_rng(seed).standard_normal(round(16_000 * seconds))
    return (hum(seconds) + 0.05 * noise).astype(np.float32)


@pytest.mark.parametrize("encoder", ["mel", *SMALL])
def test_features_are_those_of_each_clip_alone(encoder, monkeypatch):
    """Statistics over a whole clip included, where the encoder takes any."""
    if encoder in SMALL:
        variants = {"whisper": whisper, "wav2vec2": wav2vec2}[encoder].VARIANTS
        monkeypatch.setitem(variants, "small", SMALL[encoder])
        changes = [f"audio.encoder={encoder}", "audio.variant=small", "audio.dim=16"]
    else:
        changes = []
    changes += ["audio.chunk_seconds=2", "audio.overlap_seconds=0.4"]
    config = get_config("debug", changes)
    network = build_audio_encoder(config.audio)
    params = jax.jit(network.init)(jax.random.key(0), np.zeros((1, 6400), np.float32))["params"]
    encoding = ChunkedEncoder(network, params, config.audio, Lanes(jax.devices()[:2]))
    waves = [_speech(seconds, k) for k, seconds in enumerate((5.3, 0.3, 3.0))]
    clips = [encoding.open(wave) for wave in waves]
    pieces = [[] for _ in clips]
    for _ in range(8):  # 20 frames at a time
        encoding.advance(clips, [20] * 3)
        assert max(len(clip.ready) for clip in clips) <= 20 + 50
        for clip, parts in zip(clips, pieces, strict=True):
            parts.append(clip.take(20))
    for wave, parts in zip(waves, pieces, strict=True):
        alone = encode_clip(network, {"params": params}, wave, config.audio)
        np.testing.assert_array_equal(np.concatenate(parts), alone)
    assert encoding.encode.compiled == 1
    assert encoding.measure.compiled == (encoder != "mel")


def test_long_sound_lies_in_a_file_and_is_read_in_slices(tmp_path, monkeypatch):
    wave = _speech(2.0, 0)
    file = write_wav(tmp_path / "a.wav", wave)
    whole = open_audio(file).waveform
    assert isinstance(whole, np.ndarray)
    for limit, on_disk in ((2**24, False), (4000, True)):
        monkeypatch.setattr(stored_sound, "IN_MEMORY_BYTES", limit)
        sound = open_audio(file, stored=True).waveform
        assert isinstance(sound, StoredSound)
        assert sound._file._rolled == on_disk
        assert len(sound) == len(whole) == 32_000
        for part in (slice(0, 10), slice(31_990, 40_000), slice(500, 400), slice(-5, None)):
            np.testing.assert_array_equal(sound[part], whole[part])
        np.testing.assert_array_equal(np.asarray(sound), whole)
        sound[:10][:] = 7  # a copy
        np.testing.assert_array_equal(sound[:10], whole[:10])


def test_stored_sound_is_cut_and_filled_up():
    sound = StoredSound()
    sound.append(np.arange(5, dtype=np.float32))
    sound.resize(3)
    sound.append(np.array([9.0], np.float32))
    sound.resize(6)
    assert sound[:].tolist() == [0, 1, 2, 9, 0, 0]
    with pytest.raises(ValueError, match="step"):
        sound[::2]


def test_a_full_disk_is_one_line(monkeypatch):
    sound = StoredSound()

    def full(data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sound._file, "write", full)
    with pytest.raises(UserError, match="set TMPDIR"):
        sound.append(np.zeros(4, np.float32))


def test_standardised_piece_by_piece(monkeypatch):
    wave = 0.3 + _speech(2.0, 1)
    wanted = (wave - wave.mean(dtype=np.float64)) / np.sqrt(wave.var(dtype=np.float64) + 1e-7)
    monkeypatch.setattr("vasa_jax.audio.samples.PIECE", 999)
    standard = Standardised(wave, 1e-7)
    assert len(standard) == len(wave)
    np.testing.assert_allclose(standard[100:200], wanted[100:200], atol=1e-6)
    np.testing.assert_allclose(np.asarray(standard), wanted, atol=1e-6)
