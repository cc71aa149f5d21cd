"""One decode: which frames are kept, runs for video networks, sound, long tracks."""

import numpy as np
import pytest

from tests import needs
from tests.evaluation.test_face_analysis import FewLabels
from vasa_jax.evaluation import face_analysis, i3d
from vasa_jax.media import stored_rows
from vasa_jax.media.stored_rows import StoredRows
from vasa_jax.score.reading import ReadOptions, Thinned, read_track, track_of_frames


@pytest.mark.parametrize("length", [1, 4, 9, 10, 37, 1000])
def test_kept_items_are_evenly_spaced_and_bounded(length):
    thinned = Thinned(4)
    for number in range(length):
        if thinned.wants(number):
            thinned.add(number, str(number))
        assert len(thinned.items) <= 8
    assert len(thinned.items) >= min(length, 4)
    assert thinned.numbers == list(range(0, length, thinned.spacing))
    assert thinned.items == [str(n) for n in thinned.numbers]


def test_stored_rows():
    rows = StoredRows(2, 3)
    assert rows.array().shape == (0, 2, 3)
    given = np.random.default_rng(0).normal(size=(10, 2, 3)).astype(np.float32)
    for row in given:
        rows.append(row)
    np.testing.assert_array_equal(rows.array(), given)
    with pytest.raises(ValueError, match="shape"):
        rows.append(np.zeros((3, 2)))


def test_many_rows_lie_in_a_file(monkeypatch):
    monkeypatch.setattr(stored_rows, "IN_MEMORY_BYTES", 100)
    rows = StoredRows(5)
    given = np.random.default_rng(0).normal(size=(33, 5)).astype(np.float32)
    for row in given:
        rows.append(row)
    found = rows.array()
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, given)


@pytest.fixture
def faces(monkeypatch):
    """Landmarks that state the frame's brightness, and no face in black frames."""

    class Tracker:
        def __init__(self, every):
            pass

        def __call__(self, frame):
            value = float(frame.mean())
            marks = np.full((478, 3), value, np.float32) if value > 1 else None
            return type("Seen", (), {"landmarks": marks})

    monkeypatch.setattr(face_analysis, "FaceTracker", Tracker)


def make_frames(count, size=(24, 32)):
    levels = np.arange(count, dtype=np.uint8)[:, None, None, None] * 3
    return np.broadcast_to(levels, (count, *size, 3)).copy()


def test_frames_of_a_track_are_labelled_in_bounded_parts(faces, monkeypatch):
    frames = make_frames(40)
    labels = FewLabels()
    whole = track_of_frames(frames, None, loaded(labels), ReadOptions(stills=4))
    assert [len(part) for part in labels.given] == [39]  # the black frame has no face
    assert whole.found().tolist() == [False] + [True] * 39
    monkeypatch.setattr(face_analysis, "PART_BYTES", 10 * frames[0].nbytes)
    parts = track_of_frames(frames, None, loaded(labels), ReadOptions(stills=4))
    assert [len(part) for part in labels.given] == [9, 10, 10, 10]
    np.testing.assert_array_equal(whole.landmarks, parts.landmarks)
    np.testing.assert_array_equal(whole.faces.found(), parts.faces.found())
    np.testing.assert_allclose(whole.faces.emotion, parts.faces.emotion)
    assert whole.size == (32, 24)
    assert whole.numbers == (0, 8, 16, 24, 32)
    np.testing.assert_array_equal(whole.stills, frames[[0, 8, 16, 24, 32]])


def loaded(labels):
    labels.load()
    return labels


def test_runs_for_the_video_network_are_those_of_evaluate(faces):
    given = []

    def features(videos):
        given.append(videos)
        return videos.reshape(len(videos), -1)[:, :2]

    frames = make_frames(60)
    options = ReadOptions(stills=4, runs=2, features=features)
    track = track_of_frames(frames, None, loaded(FewLabels()), options)
    assert track.features.shape == (2, 2)  # 50 of 60 frames
    np.testing.assert_array_equal(given[1][0], i3d.prepare(frames[None, 25:50])[0])
    short = track_of_frames(frames[:20], None, loaded(FewLabels()), options)
    assert short.features is None


def test_a_file_gives_pictures_and_sound(faces, tmp_path):
    from tests.assets import write_wav
    from vasa_jax.media.video import VideoWriter, read_video

    needs.require_module("av", "data")
    sound = 0.3 * np.sin(np.arange(32_000) * 2 * np.pi * 300 / 16_000)
    path = tmp_path / "v.mp4"
    with VideoWriter(path, 32, 24, audio_from=write_wav(tmp_path / "s.wav", sound)) as video:
        video.write(make_frames(50))
    read = []
    track = read_track(path, loaded(FewLabels()), ReadOptions(stills=4), read.append)
    assert (track.frames, sum(read)) == (50, 50)
    assert np.abs(np.diff(track.landmarks[1:, 0, 0]) - 3).max() < 2.5
    assert len(track.sound()) == pytest.approx(32_000, abs=700)
    assert np.abs(track.waveform).max() == pytest.approx(0.3, abs=0.1)
    again = tmp_path / "copy.mp4"
    kept = read_track(path, loaded(FewLabels()), ReadOptions(), copy=again)
    assert kept.copy == again
    copied = [frame.mean() for frame in read_video(again)]
    np.testing.assert_allclose(copied[1:], kept.landmarks[1:, 0, 0], atol=3)
    mute = tmp_path / "m.mp4"
    with VideoWriter(mute, 32, 24) as video:
        video.write(make_frames(3))
    assert read_track(mute, loaded(FewLabels()), ReadOptions()).waveform is None
