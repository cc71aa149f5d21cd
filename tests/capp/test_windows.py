"""Windows of clips: pairs in time, groups of one clip, resuming, folders of every kind."""

from itertools import pairwise

import numpy as np
import pytest

from tests.capp.helpers import make_clip, write_clips
from vasa_jax.audio.mu_law import compress
from vasa_jax.capp.clips import find_pose_clips
from vasa_jax.capp.windows import FAR, NEAR, CappWindows
from vasa_jax.config.capp import get_capp_config
from vasa_jax.errors import UserError


def _config(*overrides):
    return get_capp_config("capp_debug", overrides)


@pytest.fixture
def folder(tmp_path):
    write_clips(tmp_path)
    return tmp_path


def _place(clips, rotation):
    """Clip and first frame of a window."""
    for number in range(len(clips.names)):
        whole = clips.open(number).rotation
        for start in range(len(whole) - len(rotation) + 1):
            if np.array_equal(whole[start : start + len(rotation)], rotation):
                return number, start
    raise AssertionError("no clip has this window")


def test_pose_and_sound_are_of_the_same_time(folder):
    clips = find_pose_clips(folder)
    batch = next(CappWindows(folder, _config()))
    assert batch.rotation.shape == (8, 75, 3)
    assert batch.waveform.shape == (8, 48_000)
    assert batch.negative is None
    for rotation, sound in zip(batch.rotation, batch.waveform, strict=True):
        number, start = _place(clips, rotation)
        want = clips.open(number).waveform[start * 640 : (start + 75) * 640]
        np.testing.assert_array_equal(sound, want)


def test_a_batch_holds_groups_of_windows_of_one_clip_apart_in_time(folder):
    clips = find_pose_clips(folder)
    config = _config("train_capp.group=4", "train_capp.least_shift=5")
    batch = next(CappWindows(folder, config))
    places = [_place(clips, rotation) for rotation in batch.rotation]
    assert [p[0] for p in places[:4]] == [places[0][0]] * 4
    assert [p[0] for p in places[4:]] == [places[4][0]] * 4
    assert places[0][0] != places[4][0]
    starts = sorted(p[1] for p in places[:4])
    assert min(b - a for a, b in pairwise(starts)) >= 5


def test_negatives_have_amplitudes_that_are_far(folder):
    batch = next(CappWindows(folder, _config("train_capp.amplitude_negatives=1")))
    factors = batch.negative.std(1) / batch.rotation.std(1)
    np.testing.assert_allclose(factors, factors[:, :1].repeat(3, 1), rtol=1e-3)
    factors = factors[:, 0]
    far = np.exp(np.abs(np.log(factors)))
    assert ((far >= NEAR * 0.999) & (far <= FAR * 1.001)).all()
    assert factors.min() < 1 < factors.max()


def test_noise_does_not_tell_a_negative(folder):
    """It is as strong on both, whatever the negative's amplitude, and differs between windows."""
    settings = ["train_capp.amplitude_negatives=1", "train_capp.batch=64", "train_capp.group=8"]
    plain, noisy = (
        next(CappWindows(folder, _config(*settings, f"train_capp.pose_noise={level}")))
        for level in (0, 0.002)
    )
    added = [
        (getattr(noisy, name) - getattr(plain, name)).std((1, 2))
        for name in ("rotation", "negative")
    ]
    np.testing.assert_allclose(added[0], added[1], rtol=0.3)
    assert added[0].max() < 0.0024
    assert added[0].min() < 0.0005 < 0.0015 < added[0].max()


def test_augmented_sound_keeps_its_place(folder):
    plain = next(CappWindows(folder, _config()))
    other = next(CappWindows(folder, _config("train_capp.augment_audio=true")))
    assert not np.array_equal(plain.waveform, other.waveform)
    # Bursts of one are bursts of the other.
    level = [np.square(x.reshape(8, 75, 640)).mean(-1) for x in (plain.waveform, other.waveform)]
    for a, b in zip(*level, strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.8


def test_it_goes_on_where_it_was_and_hosts_share_no_clip(folder):
    config = _config("train_capp.group=3")
    stream = CappWindows(folder, config)
    for _ in range(3):
        next(stream)
    state, want = stream.state(), next(stream)
    other = CappWindows(folder, config)
    other.restore(state)
    for mine, theirs in zip(next(other), want, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    hosts = [CappWindows(folder, config, process_index=i, process_count=2) for i in range(2)]
    assert not set(hosts[0].clips) & set(hosts[1].clips)
    assert next(hosts[0]).rotation.shape == (4, 75, 3)
    write_clips(folder, 7)
    with pytest.raises(UserError, match="other clips"):
        CappWindows(folder, config).restore(state)


def test_every_clip_is_visited_in_an_epoch(folder):
    clips = find_pose_clips(folder)
    stream = CappWindows(folder, _config("train_capp.batch=12", "train_capp.group=2"))
    batch = next(stream)
    assert {_place(clips, rotation)[0] for rotation in batch.rotation} == set(range(6))
    assert stream.state()["epoch"] == 1


def test_short_clips_and_windows_without_a_face_are_left_out(tmp_path):
    write_clips(tmp_path, 2)
    write_clips(tmp_path / "other", 1, 60)
    (tmp_path / "other" / "train" / "c0.npz").rename(tmp_path / "train" / "short.npz")
    rotation, wave = make_clip(120, 9)
    rotation[:60] = np.nan
    np.savez(tmp_path / "train" / "gone.npz", rotation=rotation, audio=wave)
    stream = CappWindows(tmp_path, _config())
    assert len(stream.clips) == 3
    for _ in range(4):
        batch = next(stream)
        assert np.isfinite(batch.rotation).all()
    for name in ("c0", "c1", "gone"):
        np.savez(
            tmp_path / "train" / f"{name}.npz",
            rotation=np.full((80, 3), np.nan),
            audio=wave[:51200],
        )
    with pytest.raises(UserError, match="enough frames in which a face was found"):
        next(CappWindows(tmp_path, _config()))


def test_tracks_and_extracted_motion_are_read(tmp_path):
    rotation, wave = make_clip(90)
    sound = np.round(wave * 32767).astype(np.int16)
    np.savez(tmp_path / "a.npz", rotation=rotation, audio=sound, identity=np.array("p"))
    np.savez(tmp_path / "b.npz", rotation=rotation, audio=compress(sound))
    motion = np.concatenate([rotation, np.zeros((90, 20), np.float32)], 1)
    np.savez(tmp_path / "c.npz", motion=motion, waveform=wave)
    clips = find_pose_clips(tmp_path)
    assert clips.frames == (90, 90, 90)
    assert clips.people == ("p", "", "")
    read = [clips.open(i) for i in range(3)]
    for clip in read:
        np.testing.assert_array_equal(clip.rotation, rotation)
        # mu-law is within 2.2 %.
        np.testing.assert_allclose(
            clip.waveform / np.abs(clip.waveform).max(), wave / np.abs(wave).max(), atol=0.03
        )


def test_folders_and_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="no such data folder"):
        find_pose_clips(tmp_path / "none")
    with pytest.raises(UserError, match="holds no clips"):
        find_pose_clips(tmp_path)
    write_clips(tmp_path, 2, 60)
    with pytest.raises(UserError, match="0 of its 2 clips are as long"):
        CappWindows(tmp_path, _config())
    (tmp_path / "train" / "bad.npz").write_bytes(b"PK no")
    with pytest.raises(UserError, match=r"bad\.npz: is no clip with head rotation"):
        find_pose_clips(tmp_path)
