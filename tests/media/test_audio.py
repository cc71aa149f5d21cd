"""open_audio against the samples that were encoded (scipy resamples the reference)."""

import struct
import subprocess
import sys
import wave

import av
import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import correlate, resample_poly

from tests.assets import hum, write_wav
from tests.media.helpers import grey_ramp, speech, write_audio, write_clip
from vasa_jax.errors import UserError
from vasa_jax.media.audio import open_audio
from vasa_jax.media.soundtrack import downmix_matrix
from vasa_jax.media.video import VideoWriter


def lag_and_match(found, reference) -> tuple[int, float]:
    """Lag of `found` in samples and the normalised cross-correlation there."""
    values = correlate(found, reference, "full", "fft")
    best = int(values.argmax())
    power = np.sqrt(np.square(found).sum() * np.square(reference).sum())
    return best - (len(reference) - 1), float(values[best] / power)


def at_16k(samples, rate):
    return resample_poly(samples, 16_000, rate)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.wav", "pcm_s16le", 44_100),
        ("a.flac", "flac", 48_000),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.mp3", "libmp3lame", 24_000),
        ("a.m4a", "aac", 44_100),
        ("a.m4a", "aac", 16_000),
        ("a.mka", "aac", 44_100),
        ("a.ogg", "libopus", 48_000),
        ("a.webm", "libopus", 48_000),
    ],
)
def test_codecs_keep_sync_and_length(tmp_path, name, codec, rate):
    source = speech(1.7, rate)
    write_audio(
        tmp_path / name, source, rate, codec, sample_format="s16" if "flac" in name else None
    )
    clip = open_audio(tmp_path / name)
    assert (clip.rate, clip.channels) == (rate, 1)
    assert clip.waveform.dtype == np.float32
    assert clip.waveform.flags.writeable
    assert len(clip.waveform) == round(clip.seconds * 16_000)
    # Matroska states no length for the last packet, so the encoder's padding stays.
    assert clip.seconds == pytest.approx(1.7, abs=0.047 if name == "a.mka" else 1e-4)
    lag, match = lag_and_match(clip.waveform, at_16k(source[0], rate))
    assert abs(lag) <= 1  # 1/16 ms
    assert match > 0.9


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_rates_match_scipy_on_a_tone(tmp_path, rate):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    wavfile.write(tmp_path / "a.wav", rate, tone.astype(np.float32))
    clip = open_audio(tmp_path / "a.wav")
    exact = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    inner = slice(200, -200)  # filters ring at the ends
    assert clip.seconds == 1.0
    assert np.abs(clip.waveform - exact)[inner].max() < 2e-3


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "f4", "f8"])
def test_sample_formats(tmp_path, kind):
    source = speech(0.5, 16_000)[0].astype(np.float64)
    kind = np.dtype(kind)
    if kind.kind == "f":
        stored = source.astype(kind)
    elif kind.kind == "u":
        stored = np.rint(source * 128 + 128).clip(0, 255).astype(kind)
    else:
        stored = np.rint(source * 2.0 ** (8 * kind.itemsize - 1)).astype(kind)
    wavfile.write(tmp_path / "a.wav", 16_000, stored)
    step = 2.0 ** -(8 * kind.itemsize - 1) if kind.kind in "ui" else 0.0
    assert np.abs(open_audio(tmp_path / "a.wav").waveform - source).max() <= 0.51 * step + 1e-7


def test_24_bit_wav(tmp_path):
    source = speech(0.5, 16_000)[0]
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((1, 3, 16_000, 0, "NONE", ""))
        ints = np.rint(source.astype(np.float64) * 2**23).astype("<i4")
        out.writeframes(ints.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    assert np.abs(open_audio(tmp_path / "a.wav").waveform - source).max() < 2e-7


@pytest.mark.parametrize("channels", [2, 3, 5, 6, 8])
def test_the_same_sound_on_all_channels_keeps_its_level(tmp_path, channels):
    source = speech(0.5, 16_000)[0]
    wavfile.write(tmp_path / "a.wav", 16_000, np.repeat(source[:, None], channels, 1))
    clip = open_audio(tmp_path / "a.wav")
    assert clip.channels == channels
    np.testing.assert_allclose(clip.waveform, source, atol=1e-6)


def power(samples) -> float:
    return float(np.square(samples, dtype=np.float64).mean())


def test_stereo_is_the_sum_at_its_channels_power(tmp_path):
    left, right = speech(1.0, 16_000, 2)
    wavfile.write(tmp_path / "a.wav", 16_000, np.stack([left, right], 1))
    found = open_audio(tmp_path / "a.wav").waveform
    assert np.corrcoef(found, left + right)[0, 1] > 0.999
    assert power(found) == pytest.approx((power(left) + power(right)) / 2, rel=0.05)


@pytest.mark.parametrize("channels", [2, 4, 6, 10])
def test_channels_turned_over_are_heard(tmp_path, channels):
    """The plain sum of these is silence."""
    source = speech(1.0, 44_100)[0]
    signs = np.where(np.arange(channels) % 2, -1, 1)
    wavfile.write(tmp_path / "a.wav", 44_100, source[:, None] * signs.astype(np.float32))
    found = open_audio(tmp_path / "a.wav").waveform
    lag, match = lag_and_match(found, at_16k(source, 44_100))
    assert (lag, match > 0.99) == (0, True)
    assert power(found) == pytest.approx(power(at_16k(source, 44_100)), rel=0.05)


def test_an_inverted_channel_of_a_lossy_file_is_heard(tmp_path):
    source = speech(1.0, 44_100)
    write_audio(
        tmp_path / "a.m4a", np.concatenate([source, -0.7 * source]), 44_100, "aac", "stereo"
    )
    found, wanted = open_audio(tmp_path / "a.m4a").waveform, at_16k(source[0], 44_100)
    assert lag_and_match(found, wanted)[1] > 0.95
    assert power(found) == pytest.approx(power(wanted) * (1 + 0.49) / 2, rel=0.1)


def test_a_take_that_is_turned_over_half_way_is_heard_throughout(tmp_path):
    source = speech(4.0, 16_000)[0]
    right = np.where(np.arange(len(source)) < 2 * 16_000, source, -source)
    wavfile.write(tmp_path / "a.wav", 16_000, np.stack([source, right], 1).astype(np.float32))
    found = open_audio(tmp_path / "a.wav").waveform
    for second in range(4):
        part = slice(16_000 * second, 16_000 * (second + 1))
        share = power(found[part]) / power(source[part])
        assert share == pytest.approx(1, abs=0.1 if second != 2 else 0.5)  # it takes a moment


@pytest.mark.parametrize("channels", [2, 3, 6])
@pytest.mark.parametrize("hiss", [0.0, 1e-4])
def test_mute_channels_do_not_count(tmp_path, channels, hiss):
    source = speech(1.0, 16_000)[0]
    sound = np.random.default_rng(0).normal(0, 1, (len(source), channels)) * hiss
    sound[:, 0] = source
    wavfile.write(tmp_path / "a.wav", 16_000, sound.astype(np.float32))
    np.testing.assert_allclose(open_audio(tmp_path / "a.wav").waveform, source, atol=1e-4)


def test_a_loud_lfe_does_not_mute_the_speech(tmp_path):
    """5.1: the LFE is not mixed, however loud; alone it is better than nothing."""
    voice, thunder = 0.005 * speech(1.0, 48_000)[0], 0.9 * speech(1.0, 48_000)[0]
    sound = np.zeros((6, len(voice)), np.float32)
    sound[3] = thunder
    write_audio(tmp_path / "b.flac", sound, 48_000, "flac", "5.1", "s16")
    assert np.abs(open_audio(tmp_path / "b.flac").waveform).max() > 0.1
    sound[2] = voice
    write_audio(tmp_path / "a.flac", sound, 48_000, "flac", "5.1", "s16")
    found = open_audio(tmp_path / "a.flac").waveform
    assert power(found) == pytest.approx(power(at_16k(voice, 48_000)), rel=0.1)


def test_speech_in_the_middle_is_not_taken_for_an_inverted_channel(tmp_path):
    """Speech alike on both channels, and music 3 dB louder with opposite signs: no turning over."""
    voice, music = speech(2.0, 16_000, 2)
    sound = np.stack([voice + 1.4 * music, voice - 1.4 * music], 1).clip(-1, 1)
    wavfile.write(tmp_path / "a.wav", 16_000, sound)
    assert np.corrcoef(open_audio(tmp_path / "a.wav").waveform, voice)[0, 1] > 0.99


def test_the_soundtrack_of_a_video_is_what_the_user_gave(tmp_path):
    """A WAV file names no channels: its two must stay apart all the same."""
    source = speech(1.0, 44_100)
    wavfile.write(tmp_path / "a.wav", 44_100, np.concatenate([source, -source]).T)
    with VideoWriter(tmp_path / "o.mp4", 32, 32, audio_from=tmp_path / "a.wav") as video:
        video.write(grey_ramp(25, 32))
    with av.open(str(tmp_path / "o.mp4")) as container:
        left, right = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], 1)
    assert np.corrcoef(left, right)[0, 1] < -0.95


def test_downmix_is_itu():
    surround = ("FL", "FR", "FC", "LFE", "BL", "BR")
    expected = np.array([[1, 0, 0.7071, 0, 0.7071, 0], [0, 1, 0.7071, 0, 0, 0.7071]]) / 2.4142
    np.testing.assert_allclose(downmix_matrix(surround, 2), expected, atol=1e-4)
    np.testing.assert_allclose(downmix_matrix(surround, 1)[0], expected.mean(0), atol=1e-4)


def test_a_video_is_an_audio_source_on_the_video_s_clock(tmp_path):
    """The sound starts 0.3 s after the picture: it must begin with 0.3 s of silence."""
    source = speech(1.0, 16_000)
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = out.add_stream("flac", rate=16_000, layout="mono")
        audio.format = "s16"
        for index, rgb in enumerate(grey_ramp(25)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = index
            out.mux(video.encode(frame))
        frame = av.AudioFrame.from_ndarray(source, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 4_800
        out.mux([*audio.encode(frame), *audio.encode(None), *video.encode(None)])
    clip = open_audio(tmp_path / "a.mkv")
    assert clip.seconds == pytest.approx(1.3, abs=1e-3)
    assert np.abs(clip.waveform[:4_780]).max() == 0.0
    assert abs(lag_and_match(clip.waveform, source[0])[0] - 4_800) <= 16


def test_a_hole_in_the_timestamps_becomes_silence(tmp_path):
    source = speech(1.0, 16_000)
    with av.open(str(tmp_path / "a.mka"), "w") as out:
        audio = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start, pts in ((0, 0), (8_000, 16_000)):
            half = (source[:, start : start + 8_000] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(half, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, pts
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    clip = open_audio(tmp_path / "a.mka")
    assert clip.seconds == pytest.approx(1.5, abs=1e-3)
    assert np.abs(clip.waveform[8_000:16_000]).max() == 0.0
    np.testing.assert_allclose(clip.waveform[16_000:24_000], source[0, 8_000:], atol=1e-4)


def test_silence_and_40_ms_are_valid_and_loud_is_clipped(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16_000, np.zeros(640, np.int16))
    assert open_audio(tmp_path / "a.wav").waveform.shape == (640,)
    wavfile.write(tmp_path / "b.wav", 16_000, np.full(1600, 1.5, np.float32))
    assert open_audio(tmp_path / "b.wav").waveform.max() == 1.0


def _broken(folder):
    tone = speech(1.0, 16_000)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no sound here")
    (folder / "text.txt").write_text("FFmpeg would draw this text as a video")
    wavfile.write(folder / "none.wav", 16_000, np.zeros(0, np.int16))
    wavfile.write(folder / "short.wav", 16_000, np.zeros(600, np.int16))
    for name, value in (("nan.wav", np.nan), ("inf.wav", np.inf)):
        bad = tone[0].copy()
        bad[9_000] = value
        wavfile.write(folder / name, 16_000, bad)
    write_clip(folder / "mute.mp4", grey_ramp(5))
    write_audio(folder / "whole.m4a", tone, 16_000, "aac")
    (folder / "cut.m4a").write_bytes((folder / "whole.m4a").read_bytes()[:-1000])
    header = bytearray((folder / "short.wav").read_bytes())
    header[24:28] = struct.pack("<I", 3)
    (folder / "rate.wav").write_bytes(header)
    return {
        "missing.wav": "does not exist",
        "": "directory",
        "empty.wav": "0 bytes",
        "text.wav": "cannot be decoded",
        "text.txt": "is text|cannot be decoded",
        "none.wav": "no sound|no audio|cannot be decoded",
        "short.wav": "only 38 ms",
        "nan.wav": "NaN.*0.5",
        "inf.wav": "infinite",
        "mute.mp4": "no audio track",
        "cut.m4a": "cannot be decoded",
        "rate.wav": "3 Hz",
    }


def test_mistakes_are_told_in_one_line(tmp_path):
    for name, reason in _broken(tmp_path).items():
        with pytest.raises(UserError, match=reason) as caught:
            open_audio(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_file_cut_in_the_middle_gives_what_is_there(tmp_path):
    source = speech(2.0, 16_000)
    write_audio(tmp_path / "a.mp3", source, 16_000, "libmp3lame")
    data = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "b.mp3").write_bytes(data[: len(data) // 2])
    clip = open_audio(tmp_path / "b.mp3")
    assert 0.8 < clip.seconds < 1.1
    assert abs(lag_and_match(clip.waveform, source[0, : len(clip.waveform)])[0]) <= 1


# VmHWM and not ru_maxrss, which a child inherits from the process that started it.
_MEMORY = """
import sys
import av, numpy
from vasa_jax.media.audio import open_audio
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
open_audio(sys.argv[1])
before = peak()
clip = open_audio(sys.argv[2])
print(peak() - before, clip.seconds)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_minutes_cost_less_than_60_mb(tmp_path):
    second = (speech(1.0, 44_100, 2).T * 32767).astype(np.int16)
    for name, count in (("short.wav", 1), ("long.wav", 600)):
        with wave.open(str(tmp_path / name), "wb") as out:
            out.setparams((2, 2, 44_100, 0, "NONE", ""))
            for _ in range(count):
                out.writeframes(second.tobytes())
    command = [sys.executable, "-c", _MEMORY, tmp_path / "short.wav", tmp_path / "long.wav"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    megabytes, seconds = map(float, done.stdout.split())
    assert seconds == 600.0
    assert 30 < megabytes < 60  # 38.4 MB of samples; less would mean that nothing was measured


def test_tags_in_an_odd_encoding_do_not_matter(tmp_path):
    path = write_wav(tmp_path / "tagged.wav", hum(0.2))
    tag = b"INFOINAM" + (6).to_bytes(4, "little") + b"caf\xe9\xff\x00"
    chunk = b"LIST" + len(tag).to_bytes(4, "little") + tag
    data = path.read_bytes() + chunk
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    assert open_audio(path).seconds == pytest.approx(0.2)
