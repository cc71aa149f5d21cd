"""The small steps, each on input whose answer is known."""

from fractions import Fraction

import numpy as np
import pytest

from tests.data_pipeline.prepare.helpers import write_video
from vasa_jax.data_pipeline.prepare import crop, sound, sync
from vasa_jax.data_pipeline.prepare.options import PrepareOptions, check_options
from vasa_jax.data_pipeline.prepare.probe import frame_rate, probe_stream
from vasa_jax.data_pipeline.prepare.segments import stretches
from vasa_jax.data_pipeline.prepare.sources import find_sources
from vasa_jax.data_pipeline.prepare.split import split_of
from vasa_jax.errors import UserError
from vasa_jax.perception.face_tracker import Seen
from vasa_jax.perception.shots import ShotDetector


def face(x, y, side, count=1):
    """Landmarks whose hull is a square with its left top corner at x, y."""
    points = np.zeros((count, 478, 3), np.float32)
    points[..., 0] += np.linspace(0, side, 478, dtype=np.float32) + x
    points[..., 1] += np.linspace(0, side, 478, dtype=np.float32) + y
    return points


def test_cuts_are_found_and_motion_is_not_one():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 256, (90, 160, 3)).astype(np.uint8)
    one = np.repeat(np.repeat(one[::10, ::10], 10, 0), 10, 1)
    two = np.full_like(one, (30, 200, 90))
    frames = [np.roll(one, k, 1) for k in range(5)] + [two] * 5
    detector = ShotDetector()
    assert [detector(f) for f in frames] == [k in (0, 5) for k in range(10)]


def _seen(text, every=3):
    """`.` a face, `-` none, `2` two people, `|` a face in a new shot, `n` another face."""
    for number, letter in enumerate(text):
        landmarks = None if letter == "-" else face(10, 10, 50)[0]
        counted = number % every == 0 or letter in "2|n-"
        yield letter == "|", Seen(landmarks, 2 if letter == "2" else 1, letter in "n|", counted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("." * 8, [(0, 8, "")]),
        ("." * 3, [(0, 3, "too short")]),
        ("----.....", [(0, 4, "no face"), (4, 9, "")]),
        (".....|......", [(0, 5, ""), (5, 12, "")]),
        (".....n.....", [(0, 5, ""), (5, 11, "")]),
        # Long ones: cut at 10 as soon as the rest is long enough, else in halves.
        ("." * 13, [(0, 7, ""), (7, 13, "")]),
        ("." * 24, [(0, 10, ""), (10, 17, ""), (17, 24, "")]),
        ("." * 10, [(0, 10, "")]),
        # The second person came somewhere after the count of frame 6.
        (".........2222....", [(0, 7, ""), (7, 13, "several people"), (13, 17, "")]),
        ("2222", [(0, 4, "several people")]),
    ],
)
def test_stretches_cover_every_frame_once(text, wanted):
    found = list(stretches(_seen(text), 4, 10))
    assert [(s.start, s.stop, s.reason) for s in found] == wanted
    for stretch in found:
        if not stretch.reason:
            assert len(stretch.landmarks) == stretch.stop - stretch.start


def test_box_has_the_proportions_and_stays_inside():
    box = crop.fixed_box(face(400, 300, 108, 5), 1000, 1000)
    assert box.side == 200
    assert box.left + 0.5 * box.side == pytest.approx(454, abs=1)
    assert box.top + 0.52 * box.side == pytest.approx(354, abs=1)
    corner = crop.fixed_box(face(20, 60, 108, 5), 1000, 1000)
    assert corner.left == 0
    assert corner.side == 200


def test_box_holds_the_whole_track():
    track = np.concatenate([face(100, 200, 100, 3), face(400, 240, 100, 3)])
    box = crop.fixed_box(track, 1000, 1000)
    assert box.left <= 100
    assert box.left + box.side >= 500
    assert crop.outside_share(box, 1000, 1000) == 0


def test_box_reaches_outside_only_where_the_face_needs_it():
    full = crop.fixed_box(face(60, 60, 110, 4), 224, 224)
    assert full == crop.Box(13, 9, 204)
    larger = crop.fixed_box(face(40, 50, 150, 4), 224, 224)
    assert larger == crop.Box(0, 0, 224)
    near = crop.fixed_box(face(2, 2, 220, 4), 224, 224)
    assert near.side > 224
    assert crop.outside_share(near, 224, 224) == pytest.approx(1 - (224 / near.side) ** 2)


def test_jitter_changes_the_side_by_seed_only():
    track = face(400, 300, 108, 5)
    sides = [
        crop.fixed_box(track, 1000, 1000, 0.2, np.random.default_rng(k)).side for k in range(50)
    ]
    assert min(sides) >= 200 * np.exp(-0.2) - 1
    assert max(sides) <= 200 * np.exp(0.2) + 1
    assert max(sides) - min(sides) > 40
    again = crop.fixed_box(track, 1000, 1000, 0.2, np.random.default_rng(7)).side
    assert again == sides[7]


@pytest.mark.parametrize("box", [crop.Box(30, 20, 128), crop.Box(-20, 90, 150)])
def test_landmarks_move_with_the_pixels(box):
    """A spot that is drawn at a landmark lies at the moved landmark."""
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[96:105, 66:75] = 255  # centre 70, 100
    cut = crop.cut(picture, box, 256)
    moved = crop.to_crop(np.full((1, 478, 3), (70.0, 100.0, 2.0), np.float32), box, 256)
    rows, columns = np.mgrid[:256, :256]
    weight = cut[..., 0].astype(float)
    spot = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
    np.testing.assert_allclose(moved[0, 0, :2], spot, atol=0.05)
    assert moved[0, 0, 2] == pytest.approx(2.0 * 256 / box.side)


def test_a_cut_goes_on_as_its_blurred_mirror_image():
    flat = np.full((50, 50, 3), 77, np.uint8)
    assert (crop.cut(flat, crop.Box(-30, -10, 90), 64) == 77).all()
    picture = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    cut = crop.cut(picture, crop.Box(-40, 0, 160), 160)
    np.testing.assert_array_equal(cut[:, 40:], picture[:, :120])
    # Beside the edge the mirror image itself, farther out an ever softer one; no stripes.
    mirrored = picture[:, 1:41][:, ::-1].astype(float)
    assert (
        np.abs(cut[:, 39] - mirrored[:, 39]).mean()
        < 0.5 * np.abs(picture[:, 0] - mirrored[:, 39]).mean()
    )
    spread = cut[:, :40].astype(float).std(0).mean(-1)
    assert spread[:8].mean() < 0.3 * spread[37:].mean()
    assert np.abs(np.diff(cut[:, 30:40].astype(float), axis=1)).mean() > 5
    # At another size the inside is what resizing the inside gives, but for what meets at the edge.
    half = crop.cut(picture, crop.Box(-40, 0, 160), 80)
    want = picture[:, :120].reshape(80, 2, 60, 2, 3).mean((1, 3))
    np.testing.assert_allclose(half[:, 20:], want, atol=1)


def test_sound_is_exact():
    wave = np.linspace(-1, 1, 16000).astype(np.float32)
    assert sound.frames_with_sound(wave) == 25
    part = sound.cut_sound(wave, 3, 5)
    assert part.dtype == np.int16
    np.testing.assert_array_equal(part, np.round(wave[1920:3200] * 32767))


def test_loudness_is_in_db_below_full_scale():
    square = np.int16([32767, -32768] * 640)
    assert sound.loudness(square) == pytest.approx(0, abs=1e-3)
    assert sound.loudness((square // 10).astype(np.int16)) == pytest.approx(-20, abs=0.01)
    assert sound.loudness(np.zeros(640, np.int16)) == -120
    assert sound.energy(square) == pytest.approx([0, 0], abs=1e-3)


def _speech(seed=0, count=150):
    rng = np.random.default_rng(seed)
    talk = np.convolve(rng.normal(size=count + 40), np.hanning(7), "same")[20:-20]
    return talk.astype(np.float32)


@pytest.mark.parametrize("lag", [-10, -3, 0, 4, 12])
def test_the_lag_of_a_shifted_sound_is_found(lag):
    talk = _speech(count=180)
    mouth, heard = talk[15:-15], np.roll(talk, lag)[15:-15]
    noise = np.random.default_rng(1).normal(size=len(mouth)).astype(np.float32)
    found = sync.measure(mouth + 0.3 * noise, 10 * heard)
    assert found.lag == lag
    assert found.correlation > 0.7
    assert sync.judge(found, 5) == ("sound out of sync" if abs(lag) > 5 else "")


def test_unrelated_sound_is_no_reason():
    for seed in range(100):
        found = sync.measure(_speech(seed), _speech(seed + 1000))
        assert sync.judge(found, 5) == "", found


def test_a_still_mouth_is_a_reason_only_when_asked():
    found = sync.measure(np.full(80, 0.1, np.float32), _speech(0, 80))
    assert sync.judge(found, 5) == ""
    assert sync.judge(found, 5, need_moving_mouth=True) == "mouth does not move"


def test_mouth_opening_is_a_share_of_the_face():
    points = np.zeros((2, 478, 3), np.float32)
    points[:, 152, 1], points[1, 14, 1] = 100, 25
    np.testing.assert_allclose(sync.mouth_opening(points), [0, 0.25])


def test_identities_follow_the_folders(tmp_path):
    for name in (
        "id00012/21Uxsk56VDQ/00001.mp4",
        "dev/id00013/x/1.mp4",
        "ann/a.mp4",
        "ann/b.mkv",
        "solo.mp4",
        "twin.mp4",
        "twin.avi",
        "ann/.part.mp4",
        "note.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {s.name: s.identity for s in find_sources(tmp_path).videos}
    assert found == {
        "id00012/21Uxsk56VDQ/00001": "id00012",
        "dev/id00013/x/1": "id00013",
        "ann/a": "ann",
        "ann/b": "ann",
        "solo": "solo",
        "twin.mp4": "twin",
        "twin.avi": "twin",
    }
    by_folder = {s.name: s.identity for s in find_sources(tmp_path, "folder").videos}
    assert by_folder["dev/id00013/x/1"] == "dev"
    assert {s.name: s.identity for s in find_sources(tmp_path, "file").videos}["ann/a"] == "ann/a"


def test_a_folder_without_videos_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no videos"):
        find_sources(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        find_sources(tmp_path / "none")


@pytest.mark.parametrize("ending", ["mts", "3gp", "OGV", "m2ts", "3g2", "qt", "mxf", "vob"])
def test_videos_of_cameras_phones_and_discs_are_found(tmp_path, ending):
    (tmp_path / f"a.{ending}").touch()
    found = find_sources(tmp_path)
    assert [s.name for s in found.videos] == ["a"]
    assert found.note == ""


def test_what_is_left_out_is_said(tmp_path):
    for name in ("ann/a.mp4", "ann/a.txt", "b.TXT", "c", "d.mp4.part", ".e.mp4", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources(tmp_path)
    assert [s.name for s in found.videos] == ["ann/a"]
    assert found.left_out == {".txt": 2, "without an ending": 1, ".part": 1, "hidden": 1}
    for said in (".txt (2)", "without an ending (1)", ".part (1)", "hidden (1)"):
        assert said in found.note
    (tmp_path / "ann/a.mp4").unlink()
    with pytest.raises(UserError, match=r"holds no videos .*\.txt \(2\)"):
        find_sources(tmp_path)


def test_linked_folders_are_searched_once(tmp_path):
    videos, disk = tmp_path / "videos", tmp_path / "disk"
    for name in (videos / "ann/a.mp4", disk / "b.mp4"):
        name.parent.mkdir(parents=True)
        name.touch()
    (videos / "bob").symlink_to(disk)
    (videos / "ann/up").symlink_to(videos)
    (videos / "0ann").symlink_to(videos / "ann")
    found = find_sources(videos)
    assert [s.name for s in found.videos] == ["ann/a", "bob/b"]
    assert found.left_out == {"folders that were met before": 2}


@pytest.mark.parametrize("rate", [24, Fraction(30000, 1001), 60, 120, 240])
@pytest.mark.parametrize("tick", [0.001, 1 / 90000])
def test_a_coarse_clock_hides_no_rate(rate, tick):
    times = np.round(np.arange(90) / float(rate) / tick) * tick
    found, varies = frame_rate(np.random.default_rng(0).permutation(times), tick)
    assert not varies
    assert found == pytest.approx(float(rate), rel=2e-3)


@pytest.mark.parametrize("rate", [60, 24, 50])
def test_a_matroska_file_has_the_rate_that_it_was_made_with(tmp_path, rate):
    frames = np.random.default_rng(0).integers(0, 255, (rate, 64, 64, 3), np.uint8)
    times = [round(1000 * k / rate) for k in range(rate)]
    facts = probe_stream(write_video(tmp_path / "a.mkv", frames, pts=times, rate=rate, sound=False))
    assert [note.split(" frames/s")[0] for note in facts.notes] == [str(rate)]


def test_a_pause_changes_no_rate_and_uneven_steps_do():
    times = np.arange(100) / 30
    times[50:] += 7
    assert frame_rate(times, 0.001) == (pytest.approx(30), False)
    assert frame_rate(np.cumsum([0.02, 0.06, 0.033] * 20), 0.001)[1]
    assert frame_rate(np.zeros(5), 0.001) == (0.0, False)


def test_split_is_disjoint_and_moves_nobody():
    names = [f"id{k:05}" for k in range(2000)]
    splits = split_of(names, 0.1, 0.2)
    shares = [list(splits.values()).count(s) / 2000 for s in ("train", "val", "test")]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.03)
    assert split_of(names[:50], 0.1, 0.2) == {n: splits[n] for n in names[:50]}
    assert split_of(["a"], 0.5, 0.499) == {"a": "train"}
    with pytest.raises(UserError, match="val-share"):
        split_of(names, 0.5, 0.5)


def test_options_are_checked_and_named():
    check_options(PrepareOptions())
    with pytest.raises(UserError, match="--size"):
        check_options(PrepareOptions(size=300))
    with pytest.raises(UserError, match="--max-seconds"):
        check_options(PrepareOptions(max_seconds=2.0))
    assert PrepareOptions().digest("a") != PrepareOptions(seed=1).digest("a")
    assert PrepareOptions().digest("a") != PrepareOptions().digest("b")
