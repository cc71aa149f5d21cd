"""Written and read videos: against PyAV alone, and against the frames and samples put in."""

import os
import struct
import subprocess
import sys

import av
import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import correlate

from tests.media.helpers import grey_ramp, speech, write_audio, write_clip
from vasa_jax.errors import UserError
from vasa_jax.media.audio import open_audio
from vasa_jax.media.soundtrack import Soundtrack
from vasa_jax.media.video import VideoWriter, frame_count, probe, read_metadata, read_video


def _moving(count: int, size: int = 64) -> np.ndarray:
    """Smooth colour waves that drift, so that coding errors stay small but frames differ."""
    t, y, x = np.ogrid[:count, :size, :size]
    red, green, blue = y / size, x / size, (x + y) / (2 * size)
    waves = [0.5 + 0.4 * np.sin(6 * p + 0.3 * t) for p in (red, green, blue)]
    return (np.stack(np.broadcast_arrays(*waves), -1) * 255).astype(np.uint8)


def _levels(frames) -> list[int]:
    """The index that `grey_ramp` wrote into each frame."""
    return [round((float(frame.mean()) - 20) / 8) for frame in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_round_trip_of_picture_sound_and_facts(tmp_path, suffix):
    sound = speech(1.23, 44_100, 2)
    wavfile.write(tmp_path / "a.wav", 44_100, sound.T)
    frames = _moving(frame_count(1.23))
    assert len(frames) == 31
    facts = {
        "title": "a test",
        "seed": 3,
        "config": "debug",
        "version": "0",
        "name": "é 顔",
    }
    out = tmp_path / "made" / f"out{suffix}"
    with VideoWriter(out, 64, 64, audio_from=tmp_path / "a.wav", metadata=facts, crf=4) as video:
        for start in range(0, 31, 7):
            video.write(frames[start : start + 7])
        assert [p.name for p in out.parent.iterdir() if not p.name.startswith(".")] == []
    assert os.listdir(out.parent) == [out.name]

    with av.open(str(out)) as container:  # PyAV alone: every frame decodes, on time
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        times = [frame.time for frame in container.decode(stream)]
        np.testing.assert_allclose(times, np.arange(31) / 25, atol=1e-3)
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert tags["title"] == "a test"
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.duration / 1e6 == pytest.approx(1.24, abs=0.04)
    assert read_metadata(out) == facts

    decoded = np.stack(list(read_video(out)))
    assert decoded.shape == frames.shape
    error = np.abs(decoded.astype(int) - frames)
    assert error.mean() < 3.0  # colour at half size; the next frame is 20 away
    info = probe(out)
    assert info[:4] == (64, 64, 25.0, 31)
    assert info.has_audio
    clip, reference = open_audio(out), open_audio(tmp_path / "a.wav")
    assert (clip.rate, clip.channels) == (44_100, 2)
    # Matroska states no length for the last packet of sound, so up to 23 ms of padding stay.
    assert clip.seconds == pytest.approx(1.23, abs=0.024 if suffix == ".mkv" else 1e-4)
    lag = int(correlate(clip.waveform, reference.waveform, "full", "fft").argmax())
    assert abs(lag - (len(reference.waveform) - 1)) <= 1  # 1/16 ms


def test_faststart_puts_the_index_first(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 32, 32) as video:
        video.write(grey_ramp(3, 32))
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert not probe(tmp_path / "a.mp4").has_audio


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 150, 120)])
def test_colours_survive_by_the_stated_matrix(tmp_path, colour):
    frames = np.broadcast_to(np.array(colour, np.uint8), (3, 64, 64, 3)).copy()
    with VideoWriter(tmp_path / "a.mp4", 64, 64, crf=1) as video:
        video.write(frames)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        # BT.709, limited range: Y = 16 + 219 (0.2126 R + 0.7152 G + 0.0722 B) / 255
        luma = 16 + 219 / 255 * float(np.dot((0.2126, 0.7152, 0.0722), colour))
        assert np.abs(frame.to_ndarray()[:64].astype(float) - luma).max() <= 2
        assert container.streams.video[0].codec_context.colorspace == 1
    decoded = next(read_video(tmp_path / "a.mp4"))
    assert np.abs(decoded.astype(int) - colour).max() <= 4


def test_the_same_input_gives_the_same_bytes(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16_000, speech(1.0, 16_000)[0])
    frames = np.random.default_rng(0).integers(0, 256, (25, 64, 64, 3), np.uint8)
    for name in ("a.mp4", "b.mp4"):
        with VideoWriter(tmp_path / name, 64, 64, audio_from=tmp_path / "a.wav") as video:
            video.write(frames)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    pairs = zip(read_video(tmp_path / "a.mp4"), read_video(tmp_path / "b.mp4"), strict=True)
    assert all(np.array_equal(left, right) for left, right in pairs)


HEAP = """
import hashlib, sys
import numpy as np
from vasa_jax.media.video import VideoWriter

rng = np.random.default_rng(0)
coarse = rng.integers(0, 255, (30, 30, 3)).repeat(8, 0).repeat(8, 1)
place = rng.integers(0, 96, (33, 2)).cumsum(0) // 16 % 90
frames = np.stack([coarse[y : y + 144, x : x + 144] for y, x in place]) // 4 * 3
frames = (frames + rng.integers(0, 9, frames.shape)).astype(np.uint8)
for width in (64, 144):
    with VideoWriter(sys.argv[1], width, 144) as video:
        video.write(frames[:, :, :width])
    print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())
"""


def test_bytes_do_not_depend_on_what_the_heap_held(tmp_path):
    """glibc fills what it hands out by MALLOC_PERTURB_; elsewhere this is the test above again."""
    found = {
        subprocess.run(
            [sys.executable, "-c", HEAP, str(tmp_path / "a.mp4")],
            env=os.environ | {"MALLOC_PERTURB_": str(fill)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for fill in (0, 1, 127, 255)
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.mp3", "libmp3lame", 24_000, "mono"),
        ("a.m4a", "aac", 44_100, "stereo"),
        ("a.wav", "pcm_s16le", 192_000, "mono"),
        ("a.wav", "pcm_s16le", 13_370, "mono"),
        ("a.flac", "flac", 16_000, "5.1"),
    ],
)
def test_sound_of_any_kind_stays_in_sync(tmp_path, name, codec, rate, layout):
    sound = speech(1.0, rate, av.AudioLayout(layout).nb_channels)
    sample_format = "s16" if codec == "flac" else None
    write_audio(tmp_path / name, sound, rate, codec, layout, sample_format)
    with VideoWriter(tmp_path / "o.mp4", 32, 32, audio_from=tmp_path / name) as video:
        video.write(grey_ramp(25, 32))
    source, clip = open_audio(tmp_path / name), open_audio(tmp_path / "o.mp4")
    assert clip.channels == min(source.channels, 2)
    assert clip.seconds == pytest.approx(source.seconds, abs=1e-3)
    lag = int(correlate(clip.waveform, source.waveform, "full", "fft").argmax())
    assert abs(lag - (len(source.waveform) - 1)) <= 1
    # The level, not the samples: AAC keeps the energy of noise rather than its shape.
    levels = []
    for file in (name, "o.mp4"):
        blocks = Soundtrack(tmp_path / file).blocks(16_000, clip.channels)
        levels.append(np.concatenate(list(blocks), axis=1).std())
    assert levels[1] == pytest.approx(levels[0], rel=0.1)


@pytest.mark.parametrize(("frames", "seconds"), [(10, 2.0), (75, 1.0)])
def test_sound_longer_or_shorter_than_the_picture_is_kept_whole(tmp_path, frames, seconds):
    wavfile.write(tmp_path / "a.wav", 16_000, speech(seconds, 16_000)[0])
    with VideoWriter(tmp_path / "o.mp4", 32, 32, audio_from=tmp_path / "a.wav") as video:
        video.write(grey_ramp(frames, 32))
    assert open_audio(tmp_path / "o.mp4").seconds == pytest.approx(seconds, abs=1e-3)
    assert len(list(read_video(tmp_path / "o.mp4"))) == frames


def test_seconds_cuts_the_sound(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16_000, speech(2.0, 16_000)[0])
    with VideoWriter(tmp_path / "o.mp4", 32, 32, audio_from=tmp_path / "a.wav", seconds=0.5) as v:
        v.write(grey_ramp(13, 32))
    assert open_audio(tmp_path / "o.mp4").seconds == pytest.approx(0.5, abs=1e-3)


def test_frame_count():
    assert [frame_count(s) for s in (0.001, 0.04, 0.0401, 8.0, 1.23, 0.1 + 0.2)] == [
        1,
        1,
        2,
        200,
        31,
        8,
    ]


def _interrupt(out, **more):
    with VideoWriter(out, 32, 32, **more) as video:
        video.write(grey_ramp(5, 32))
        raise KeyboardInterrupt


def test_an_exception_leaves_nothing(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16_000, speech(1.0, 16_000)[0])
    out = tmp_path / "out" / "o.mp4"
    with pytest.raises(KeyboardInterrupt):
        _interrupt(out, audio_from=tmp_path / "a.wav")
    with pytest.raises(ValueError, match="no frame"), VideoWriter(out, 32, 32):
        pass
    with pytest.raises(ValueError, match="not uint8"), VideoWriter(out, 32, 32) as video:
        video.write(grey_ramp(2, 64))
    assert os.listdir(out.parent) == []


def test_an_exception_keeps_the_older_file(tmp_path):
    (tmp_path / "o.mp4").write_bytes(b"older")
    with pytest.raises(KeyboardInterrupt):
        _interrupt(tmp_path / "o.mp4")
    assert (tmp_path / "o.mp4").read_bytes() == b"older"
    with VideoWriter(tmp_path / "o.mp4", 32, 32) as video:
        video.write(grey_ramp(2, 32))
    assert probe(tmp_path / "o.mp4").frames == 2
    assert os.listdir(tmp_path) == ["o.mp4"]


def test_broken_sound_stops_the_writing_cleanly(tmp_path):
    sound = speech(2.0, 16_000)[0]
    sound[30_000] = np.nan
    wavfile.write(tmp_path / "a.wav", 16_000, sound)
    out = tmp_path / "out" / "o.mp4"
    with (
        pytest.raises(UserError, match="NaN"),
        VideoWriter(out, 32, 32, audio_from=tmp_path / "a.wav") as video,
    ):
        video.write(grey_ramp(50, 32))
    assert os.listdir(out.parent) == []


def test_mistakes_are_found_before_work_begins(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.mp4").mkdir()
    wavfile.write(tmp_path / "a.wav", 16_000, speech(1.0, 16_000)[0])
    before = sorted(os.listdir(tmp_path))
    for name, reason, more in (
        ("folder.mp4", "directory", {}),
        ("file/o.mp4", "cannot write", {}),
        ("o.avi", ".mp4", {}),
        ("o", ".mp4", {}),
        ("o.mp4", "does not exist", {"audio_from": tmp_path / "missing.wav"}),
        ("o.mp4", "decoded", {"audio_from": tmp_path / "file"}),
        ("o.mp4", "not available", {"encoder": "h264_unheard_of"}),
        ("a.wav", ".mp4", {"audio_from": tmp_path / "a.wav"}),
    ):
        with pytest.raises(UserError, match=reason) as caught:
            VideoWriter(tmp_path / name, 32, 32, **more)
        assert "\n" not in str(caught.value)
    for size in ((31, 32), (32, 33), (0, 2)):
        with pytest.raises(ValueError, match="even"):
            VideoWriter(tmp_path / "o.mp4", *size)
    assert sorted(os.listdir(tmp_path)) == before


def test_the_source_of_the_sound_is_not_overwritten(tmp_path):
    write_clip(tmp_path / "a.mp4", grey_ramp(3))
    with pytest.raises(UserError, match="overwrite"):
        VideoWriter(tmp_path / "a.mp4", 32, 32, audio_from=tmp_path / "." / "a.mp4")


def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)  # root may write anywhere, nobody may not
    try:
        with pytest.raises(UserError, match="cannot write"):
            VideoWriter(tmp_path / "o.mp4", 32, 32)
    finally:
        os.seteuid(before)


def test_a_full_disk_is_a_user_error(tmp_path):
    resource = pytest.importorskip("resource")  # a file size limit stands in for a full disk
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3), np.uint8)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        with pytest.raises(UserError, match="disk"), VideoWriter(tmp_path / "o.mp4", 64, 64) as v:
            v.write(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 12])
def test_other_rates_are_resampled_to_the_nearest_frame(tmp_path, fps):
    write_clip(tmp_path / "a.mp4", grey_ramp(26), fps=fps)
    found = _levels(read_video(tmp_path / "a.mp4"))
    wanted = np.arange(np.ceil(26 / fps * 25 - 0.05)) / 25
    distance = np.abs(wanted[:, None] - np.arange(26) / fps)
    assert len(found) == len(wanted)
    assert all(distance[k, i] <= distance[k].min() + 1e-6 for k, i in enumerate(found))
    assert probe(tmp_path / "a.mp4").fps == fps
    assert probe(tmp_path / "a.mp4").frames == 26


def test_variable_frame_rate_follows_the_timestamps(tmp_path):
    pts = np.array([0, 40, 80, 400, 410, 420, 800, 1000])
    write_clip(tmp_path / "a.mkv", grey_ramp(8), pts=pts)
    found = _levels(read_video(tmp_path / "a.mkv"))
    wanted = np.arange(len(found)) * 40
    distance = np.abs(wanted[:, None] - pts)
    assert len(found) in (26, 27)
    assert all(distance[k, i] <= distance[k].min() for k, i in enumerate(found))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_metadata(tmp_path, turns):
    """The matrix of a phone's MP4 is set in the file by hand; numpy is the oracle."""
    rgb = np.full((48, 64, 3), 40, np.uint8)
    rgb[:16, :24] = (230, 60, 60)
    write_clip(tmp_path / "a.mp4", np.stack([rgb] * 4), options={"crf": "4"})
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    a, b = {1: (0, 1), 2: (-1, 0), 3: (0, -1)}[turns]  # clockwise, as phones write it
    matrix = [a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30]
    start = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes of flags, times and layers before
    data[start : start + 36] = struct.pack(">9i", *matrix)
    (tmp_path / "b.mp4").write_bytes(data)
    expected = np.rot90(rgb, -turns)
    frame = next(read_video(tmp_path / "b.mp4"))
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 4
    info = probe(tmp_path / "b.mp4")
    assert (info.height, info.width) == expected.shape[:2]


def test_oblong_pixels_become_square(tmp_path):
    write_clip(tmp_path / "a.mp4", grey_ramp(3), options={"x264-params": "sar=2/1"})
    assert next(read_video(tmp_path / "a.mp4")).shape == (64, 128, 3)
    assert probe(tmp_path / "a.mp4")[:2] == (128, 64)


def test_frames_are_the_caller_s_own(tmp_path):
    write_clip(tmp_path / "a.mp4", grey_ramp(3), fps=5)  # each frame is given five times
    frames = list(read_video(tmp_path / "a.mp4"))
    assert len(frames) == 15
    frames[0][:] = 0
    assert frames[1].min() > 0


def test_a_video_cut_in_the_middle_gives_what_is_there(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 64, 64) as video:
        video.write(np.random.default_rng(0).integers(0, 256, (25, 64, 64, 3), np.uint8))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: len(data) // 2])
    assert 3 < len(list(read_video(tmp_path / "b.mp4"))) < 25


def test_reading_mistakes_are_told_in_one_line(tmp_path):
    from PIL import Image

    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video here")
    (tmp_path / "text.txt").write_text("FFmpeg would draw this text as a video")
    wavfile.write(tmp_path / "a.wav", 16_000, speech(1.0, 16_000)[0])
    for suffix in ("png", "jpg", "webp"):
        Image.new("RGB", (64, 64)).save(tmp_path / f"still.{suffix}")
    write_clip(tmp_path / "whole.mp4", grey_ramp(5))
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:-200])
    for name, reason in {
        "missing.mp4": "does not exist",
        "": "directory",
        "empty.mp4": "0 bytes",
        "text.mp4": "cannot be decoded",
        "text.txt": "text|cannot be decoded",
        "a.wav": "no video track",
        "still.png": "still picture",
        "still.jpg": "still picture",
        "still.webp": "still picture",
        "cut.mp4": "cannot be decoded",
    }.items():
        for read in (read_video, probe):
            with pytest.raises(UserError, match=reason) as caught:
                read(tmp_path / name)
            assert "\n" not in str(caught.value)


def test_metadata_of_a_foreign_file_is_empty(tmp_path):
    write_clip(tmp_path / "a.mp4", grey_ramp(3))
    assert read_metadata(tmp_path / "a.mp4") == {}


def test_importing_media_does_not_import_pyav():
    code = (
        "import sys; sys.modules['av'] = None\n"
        "import vasa_jax.media.audio, vasa_jax.media.image, vasa_jax.media.video"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


_MEMORY = """
import sys
import numpy as np
from vasa_jax.media.video import VideoWriter
sound, out, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
frames = np.random.default_rng(0).integers(0, 256, (25, 64, 64, 3), np.uint8)
with VideoWriter(out, 64, 64, audio_from=sound) as video:
    for _ in range(seconds):
        video.write(frames)
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024)
"""


def peak_megabytes(folder, seconds: int) -> float:
    """Peak memory of a process that writes a 64 px video with stereo sound."""
    wavfile.write(folder / "long.wav", 44_100, np.tile(speech(1.0, 44_100, 2).T, (seconds, 1)))
    command = [sys.executable, "-c", _MEMORY, folder / "long.wav", folder / "o.mp4", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_minutes_take_the_memory_of_one(tmp_path):
    assert peak_megabytes(tmp_path, 600) < peak_megabytes(tmp_path, 60) + 20
