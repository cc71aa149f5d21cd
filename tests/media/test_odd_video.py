"""Videos as phones and meetings write them: mirrored, HDR, of changing size, with odd tracks."""

import struct

import av
import numpy as np
import pytest

from tests.media.helpers import grey_ramp, speech, write_clip
from vasa_jax.data_pipeline.prepare.probe import probe_stream
from vasa_jax.errors import UserError
from vasa_jax.media.audio import open_audio
from vasa_jax.media.colour import _matrix, colours_of
from vasa_jax.media.orientation import orientation_of_matrix
from vasa_jax.media.soundtrack import NoSoundError, Soundtrack
from vasa_jax.media.video import probe, read_video

# The display matrix (a, b, c, d) of ISO/IEC 14496-12 and what numpy makes of the stored picture.
LIES = {
    1: ((1, 0, 0, 1), lambda p: p),
    2: ((-1, 0, 0, 1), np.fliplr),
    3: ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    4: ((1, 0, 0, -1), np.flipud),
    5: ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    6: ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    7: ((0, -1, -1, 0), lambda p: np.rot90(p, 2).transpose(1, 0, 2)),
    8: ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
}


def set_display_matrix(data: bytearray, a: float, b: float, c: float, d: float) -> None:
    """Write the matrix of an MP4's first track by hand."""
    start = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes of flags, times and layers before
    fixed = [round(v * 65536) for v in (a, b, c, d)]
    matrix = [fixed[0], fixed[1], 0, fixed[2], fixed[3], 0, 0, 0, 1 << 30]
    data[start : start + 36] = struct.pack(">9i", *matrix)


@pytest.mark.parametrize("lie", sorted(LIES))
def test_all_eight_display_matrices(tmp_path, lie):
    numbers, upright = LIES[lie]
    rgb = np.full((48, 64, 3), 40, np.uint8)
    rgb[:16, :24] = (230, 60, 60)
    rgb[:16, 48:] = (60, 60, 230)
    write_clip(tmp_path / "a.mp4", np.stack([rgb] * 4), options={"crf": "4"})
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    set_display_matrix(data, *numbers)
    (tmp_path / "b.mp4").write_bytes(data)
    expected, frame = upright(rgb), next(read_video(tmp_path / "b.mp4"))
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 4
    info = probe(tmp_path / "b.mp4")
    assert (info.height, info.width) == expected.shape[:2]


def test_prepare_notes_what_was_converted(tmp_path):
    write_clip(tmp_path / "a.mp4", grey_ramp(3))
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    set_display_matrix(data, -1, 0, 0, 1)
    (tmp_path / "b.mp4").write_bytes(data)
    write_flat(tmp_path / "c.mp4", 500)
    write_tracks(tmp_path / "d.mp4", [], videos=2)
    make_undecodable(tmp_path / "d.mp4", b"avc1")
    notes = [", ".join(probe_stream(tmp_path / f"{name}.mp4").notes) for name in "abcd"]
    assert notes[0] == notes[3] == ""
    assert "mirrored" in notes[1]
    assert "PQ, BT.2020" in notes[2]
    assert probe_stream(tmp_path / "d.mp4").size == (64, 64)


def test_scaled_slanted_and_empty_matrices():
    assert orientation_of_matrix([-131072, 0, 0, 0, 65536, 0, 0, 0, 1 << 30]) == 2
    turned = np.radians(80)
    cos, sin = (round(65536 * v) for v in (np.cos(turned), np.sin(turned)))
    assert orientation_of_matrix([cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30]) == 6
    assert orientation_of_matrix([0] * 9) == 1


def write_sizes(path, sizes, count=5):
    """An MPEG-TS whose picture changes its size: a white disc on grey in each."""
    data = b""
    for number, (width, height) in enumerate(sizes):
        times = 40 * np.arange(number * count, (number + 1) * count)
        y, x = np.ogrid[:height, :width]
        disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2
        picture = np.where(disc[..., None], 255, 90).astype(np.uint8).repeat(3, -1)
        write_clip(path.with_suffix(".part.ts"), np.stack([picture] * count), pts=times)
        data += path.with_suffix(".part.ts").read_bytes()
    path.write_bytes(data)


def test_another_size_within_a_stream_keeps_its_proportions(tmp_path):
    write_sizes(tmp_path / "a.ts", [(128, 72), (72, 128), (256, 144)])
    frames = list(read_video(tmp_path / "a.ts"))
    assert {frame.shape for frame in frames} == {(72, 128, 3)}
    sides = []
    for frame in (frames[2], frames[7], frames[-2]):
        white = frame[..., 0] > 180
        sides.append((np.ptp(np.flatnonzero(white.any(0))), np.ptp(np.flatnonzero(white.any(1)))))
        assert abs(sides[-1][0] - sides[-1][1]) <= 2  # a disc stays a disc
    assert abs(sides[0][0] - sides[2][0]) <= 2  # twice the size, the same picture
    assert frames[7][:, :40].max() < 30  # black beside the upright one
    assert frames[-2][:, :4].min() > 60  # none where the proportions are the same


def write_flat(path, luma, cb=512, cr=512, transfer=16, primaries=9, matrix=9):
    """A 10-bit clip of one colour, with its H.273 codes stated."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, primaries, matrix
        context.color_range = 1
        for index in range(3):
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, value in zip(frame.planes, (luma, cb, cr), strict=True):
                plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
            frame.pts = index
            frame.color_trc, frame.color_primaries = transfer, primaries
            frame.colorspace, frame.color_range = matrix, 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def srgb(light):
    """IEC 61966-2-1 in 8 bits."""
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


# ITU-R BT.2408-7, table 1: signal in % and cd/m^2 of reference white and of the 18 % grey card.
@pytest.mark.parametrize(
    ("transfer", "percent", "nits"), [(16, 58, 203), (16, 38, 26), (18, 75, 203), (18, 38, 26)]
)
def test_hdr_levels_are_those_of_bt2408(tmp_path, transfer, percent, nits):
    write_flat(tmp_path / "a.mp4", round(64 + 8.76 * percent), transfer=transfer)
    frame = next(read_video(tmp_path / "a.mp4")).astype(int)
    assert np.abs(frame - srgb(nits / 203)).max() <= 3  # the table's figures are rounded
    assert np.ptp(frame, axis=-1).max() <= 1


def test_hdr_white_is_white_and_black_black(tmp_path):
    for name, transfer, percent, level in (
        ("a", 16, 0, 0),
        ("b", 16, 100, 255),
        ("c", 18, 0, 0),
        ("d", 18, 100, 255),
    ):
        write_flat(tmp_path / f"{name}.mp4", round(64 + 8.76 * percent), transfer=transfer)
        assert np.abs(next(read_video(tmp_path / f"{name}.mp4")).astype(int) - level).max() <= 1


def test_wide_primaries_of_a_colour_within_srgb(tmp_path):
    """sRGB (200, 120, 90) written in BT.2020 by its own published matrix comes back."""
    linear = ((np.array([200, 120, 90]) / 255 + 0.055) / 1.055) ** 2.4
    to_2020 = np.array(
        [  # ITU-R BT.2087-0
            [0.6274, 0.3293, 0.0433],
            [0.0691, 0.9195, 0.0114],
            [0.0164, 0.0880, 0.8956],
        ]
    )
    np.testing.assert_allclose(np.linalg.inv(_matrix(9)), to_2020, atol=2e-4)
    red, green, blue = (srgb(v) / 255 for v in to_2020 @ linear)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    write_flat(
        tmp_path / "a.mp4",
        round(64 + 876 * luma),
        round(512 + 896 * (blue - luma) / 1.8814),
        round(512 + 896 * (red - luma) / 1.4746),
        transfer=14,
    )
    frame = next(read_video(tmp_path / "a.mp4")).astype(int)
    assert np.abs(frame - (200, 120, 90)).max() <= 3


def test_display_p3_matrix_is_the_published_one():
    # CSS Color 4, sample code of the specification
    wanted = [[1.2249, -0.2249, 0], [-0.0421, 1.0421, 0], [-0.0196, -0.0786, 1.0983]]
    np.testing.assert_allclose(_matrix(12), wanted, atol=2e-4)


def test_plain_video_is_not_converted(tmp_path):
    write_clip(tmp_path / "a.mp4", grey_ramp(3))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert colours_of(next(container.decode(video=0))) is None


def write_tracks(path, sounds, videos=1):
    """A file with H.264 tracks of different grey, and AAC tracks; a sound of None is empty."""
    with av.open(str(path), "w") as out:
        pictures, tracks = [], []
        for _ in range(videos):
            stream = out.add_stream("libx264", rate=25, options={"crf": "10"})
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            pictures.append(stream)
        tracks = [out.add_stream("aac", rate=16_000, layout="mono") for _ in sounds]
        for index in range(25):
            for number, stream in enumerate(pictures):
                level = np.full((64, 64, 3), 60 + 120 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(level, format="rgb24")
                frame.pts = index
                out.mux(stream.encode(frame))
        for stream, sound in zip(tracks, sounds, strict=True):
            if sound is not None:
                frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16_000, 0
                out.mux([*stream.encode(frame), *stream.encode(None)])
        for stream in pictures:
            out.mux(stream.encode(None))


def make_undecodable(path, *boxes: bytes) -> None:
    """Rename the first boxes of an MP4 that tell a track's codec: FFmpeg has never heard of it."""
    data = bytearray(path.read_bytes())
    for box in boxes:
        place = data.index(box, data.index(b"stsd"))
        data[place : place + 4] = b"zzzz"
    path.write_bytes(data)


def test_a_sound_track_that_decodes_is_taken(tmp_path):
    """Spatial sound of a phone: its codec is unknown, and stereo is stored beside it."""
    sound = speech(1.0, 16_000)
    write_tracks(tmp_path / "a.mp4", [0.3 * speech(1.0, 16_000), sound])
    make_undecodable(tmp_path / "a.mp4", b"mp4a", b"esds")
    found = open_audio(tmp_path / "a.mp4").waveform
    assert found.std() == pytest.approx(sound.std(), rel=0.2)
    write_tracks(tmp_path / "b.mp4", [sound])
    make_undecodable(tmp_path / "b.mp4", b"mp4a", b"esds")
    with pytest.raises(NoSoundError, match="codec"):
        open_audio(tmp_path / "b.mp4")


def test_a_sound_track_with_packets_is_taken(tmp_path):
    write_tracks(tmp_path / "a.mkv", [None, speech(1.0, 16_000)])
    assert np.abs(open_audio(tmp_path / "a.mkv").waveform).max() > 0.1


def test_a_video_track_that_decodes_is_taken(tmp_path):
    write_tracks(tmp_path / "a.mp4", [], videos=2)
    make_undecodable(tmp_path / "a.mp4", b"avc1")
    frames = list(read_video(tmp_path / "a.mp4"))
    assert len(frames) == 25
    assert abs(float(frames[3].mean()) - 180) < 6
    write_tracks(tmp_path / "b.mp4", [])
    make_undecodable(tmp_path / "b.mp4", b"avc1")
    with pytest.raises(UserError, match="codec"):
        read_video(tmp_path / "b.mp4")


def test_a_track_without_packets_is_found_at_construction(tmp_path):
    write_tracks(tmp_path / "a.mkv", [None])
    with pytest.raises(NoSoundError, match="no sound"):
        Soundtrack(tmp_path / "a.mkv")
