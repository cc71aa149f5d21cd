"""Whole clips to windows: slices of the clips, the same for the same seed, resumable anywhere."""

import json
from itertools import islice

import jax
import numpy as np
import pytest

from vasa_jax.audio.level import at_speech_level
from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.extensions.neutral_context import BLEND_FRAMES
from vasa_jax.motion.stats import fit_stats
from vasa_jax.training.loop import Result
from vasa_jax.training.mesh import single_device
from vasa_jax.training.motion_batch import audio_margin
from vasa_jax.training.motion_clips import MotionClips, find_clips, index_clips, is_clip_folder
from vasa_jax.training.motion_trainer import motion_trainer
from vasa_jax.training.run import run
from vasa_jax.training.trainer import CheckpointableIterator
from vasa_jax.typing import POSE_DIM

CONFIG = get_config("debug")
K, W = CONFIG.motion.context, CONFIG.motion.window
DIM, MARGIN = CONFIG.face.motion_dim, audio_margin(CONFIG)
LENGTHS = (63, 9, 40, 21)


def clip(number, frames):
    """Frame i of clip n holds n and i; its samples hold n and their own frame, and never zero."""
    motion = np.zeros((frames, DIM), np.float32)
    motion[:, 0], motion[:, 1], motion[:, 2] = number, np.arange(frames), 0.5
    wave = (1000 * (number + 1) + np.repeat(np.arange(frames), 640) + 1).astype(np.int16)
    return {"motion": motion, "waveform": wave}


@pytest.fixture
def folder(tmp_path):
    for number, frames in enumerate(LENGTHS):
        place = tmp_path / f"id{number % 2}"
        place.mkdir(exist_ok=True)
        labels = {"gaze": np.float32([0.1, -0.2]), "distance": np.float32(1.25)} if number else {}
        np.savez(place / f"{number}.npz", **clip(number, frames), **labels)
    return tmp_path


def clips(folder, batch=4, **kw):
    return MotionClips(folder, CONFIG, batch, **kw)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_windows_are_slices_of_the_clips(folder):
    starts = set()
    for batch in islice(clips(folder), 40):
        for motion, valid, wave, heard in zip(
            batch.motion, batch.valid, batch.waveform, batch.heard, strict=True
        ):
            number = int(motion[K, 0])
            whole = clip(number, LENGTHS[number])
            start = int(motion[K, 1])  # a window begins inside of its clip
            assert valid[K]
            frames = np.arange(start - K, start + W)
            np.testing.assert_array_equal(valid, (frames >= 0) & (frames < LENGTHS[number]))
            np.testing.assert_array_equal(motion[valid], whole["motion"][frames[valid]])
            assert np.isfinite(motion).all()
            level = at_speech_level(whole["waveform"].astype(np.float32) / 32767)
            padded = np.pad(level, 640 * 100)
            low = (start - K - MARGIN + 100) * 640
            expected = padded[low : low + (K + W + 2 * MARGIN) * 640]
            np.testing.assert_allclose(wave, expected, rtol=1e-6)
            np.testing.assert_array_equal(heard, expected.reshape(-1, 640).any(1))
            starts.add((number, start))
            if LENGTHS[number] < W:
                assert start == 0
            else:
                assert valid[K:].all()
    assert {n for n, _ in starts} == {0, 1, 2, 3}
    assert len(starts) > 20


def test_labels_are_known_only_where_given(folder):
    for batch in islice(clips(folder), 5):
        known = batch.motion[:, K, 0] > 0
        np.testing.assert_array_equal(batch.has_gaze, known)
        np.testing.assert_array_equal(batch.has_distance, known)
        assert not batch.has_emotion.any()
        np.testing.assert_array_equal(batch.distance[:, 0], np.where(known, 1.25, 0))
        np.testing.assert_allclose(batch.gaze[known], np.tile([[0.1, -0.2]], (known.sum(), 1)))


def test_each_clip_in_proportion_to_its_length_in_every_epoch(folder):
    data = clips(folder, batch=1)
    epochs = [[int(next(data).motion[0, K, 0]) for _ in range(7)] for _ in range(2)]
    for epoch in epochs:  # 63 // 20, one for the short clip, 40 // 20, 21 // 20
        assert sorted(epoch) == [0, 0, 0, 1, 2, 2, 3]
    assert epochs[0] != epochs[1]


def test_same_seed_same_batches(folder):
    one, two, other = clips(folder, seed=3), clips(folder, seed=3), clips(folder, seed=4)
    batches = [next(one) for _ in range(5)]
    for batch in batches:
        same(batch, next(two))
    assert any(not np.array_equal(b.motion, next(other).motion) for b in batches)


@pytest.mark.parametrize("taken", [0, 1, 3, 4])
def test_resume_anywhere(folder, taken):
    straight = clips(folder, batch=3)
    assert isinstance(straight, CheckpointableIterator)
    for _ in range(taken):
        next(straight)
    resumed = clips(folder, batch=3)
    resumed.restore(json.loads(json.dumps(straight.state())))
    for _ in range(5):
        same(next(resumed), next(straight))


def test_sound_is_changed_in_training_alone_and_resumes(folder):
    config = get_config("debug", ["train_motion.augment_audio=true"])
    plain, changed = clips(folder, 3), MotionClips(folder, config, 3)
    for _ in range(3):
        a, b = next(plain), next(changed)
        same(a.motion, b.motion)
        assert not np.array_equal(a.waveform, b.waveform)
    resumed = MotionClips(folder, config, 3)
    resumed.restore(json.loads(json.dumps(changed.state())))
    for _ in range(3):
        same(next(resumed), next(changed))
    same(next(MotionClips(folder, config, 3, split="val")), next(clips(folder, 3)))
    with pytest.raises(UserError, match=r"augment_audio=true needs audio\.encoder=mel"):
        get_config("base256", ["train_motion.augment_audio=true"])


def test_windows_after_a_portrait_at_rest(folder):
    """What `initial_context` puts before a clip: one pose, the mean expression, silence."""
    rng = np.random.default_rng(0)
    for file in folder.rglob("*.npz"):
        stored = dict(np.load(file))
        stored["motion"][:, POSE_DIM:] = rng.normal(1, 1, stored["motion"][:, POSE_DIM:].shape)
        np.savez(file, **stored)
    config = get_config("debug", ["motion.extensions.neutral_start=1"])
    plain, rested = clips(folder, 6), MotionClips(folder, config, 6)
    for _ in range(3):
        was, now = next(plain), next(rested)
        assert now.valid[:, :K].all()
        np.testing.assert_array_equal(now.valid[:, K:], was.valid[:, K:])
        np.testing.assert_array_equal(now.motion[:, K:, :POSE_DIM], was.motion[:, K:, :POSE_DIM])
        for i in range(K):
            np.testing.assert_array_equal(now.motion[:, i, :POSE_DIM], was.motion[:, K, :POSE_DIM])
        rest = rested.stats.mean[POSE_DIM:]
        assert (now.motion[:, :K, POSE_DIM:] == rest).all()
        dyn = slice(POSE_DIM, None)
        far, here = (np.abs(b.motion[:, K:, dyn] - rest) for b in (was, now))
        assert (here[:, 0] < 0.06 * far[:, 0]).all()
        assert (here <= far + 1e-6).all()
        np.testing.assert_allclose(
            now.motion[:, K + BLEND_FRAMES :, dyn], was.motion[:, K + BLEND_FRAMES :, dyn]
        )
        assert now.rests.all()
        assert not now.heard[:, : K + MARGIN].any()
        np.testing.assert_array_equal(now.heard[:, K + MARGIN :], was.heard[:, K + MARGIN :])
    some = MotionClips(folder, get_config("debug", ["motion.extensions.neutral_start=0.5"]), 64)
    batch = next(some)
    rests = (batch.motion[:, 0, POSE_DIM:] == some.stats.mean[POSE_DIM:]).all(1)
    assert 0.3 < rests.mean() < 0.7
    np.testing.assert_array_equal(batch.rests, rests)
    with pytest.raises(UserError, match="neutral_start"):
        get_config("debug", ["motion.extensions.neutral_start=1.5"])


def test_hosts_make_the_rows_of_the_same_batches(folder):
    """However many there are, with everything that is random; a place serves any number."""
    config = get_config(
        "debug", ["motion.extensions.neutral_start=0.5", "train_motion.augment_audio=true"]
    )
    one = MotionClips(folder, config, 4)
    next(one)
    state = json.loads(json.dumps(one.state()))
    wanted = [next(one) for _ in range(9)]  # over the end of an epoch
    for hosts in (2, 4):
        rows = []
        for host in range(hosts):
            data = MotionClips(folder, config, 4, process_index=host, process_count=hosts)
            assert data.struct.motion.shape[0] == 4
            same(data.stats, one.stats)
            data.restore(state)
            rows.append([next(data) for _ in range(9)])
            assert rows[-1][0].motion.shape[0] == 4 // hosts
            assert data.state() == one.state()
        for parts, batch in zip(zip(*rows, strict=True), wanted, strict=True):
            same(jax.tree.map(lambda *x: np.concatenate(x), *parts), batch)


def test_statistics_are_those_of_all_frames_and_kept(folder, monkeypatch):
    draw = np.random.default_rng(0)
    for number, file in enumerate(find_clips(folder)[1]):
        motion = draw.normal(3.0 * number, 2.0, (LENGTHS[number], DIM)).astype(np.float32)
        motion[:, 4] = 7.25  # never moves
        np.savez(file, motion=motion, waveform=np.zeros(9, np.int16))
    root, files = find_clips(folder)
    found = index_clips(root, files)
    expected = fit_stats(np.concatenate([np.load(f)["motion"] for f in files]))
    np.testing.assert_allclose(found.stats.mean, expected.mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.stats.std, expected.std, rtol=1e-6)
    assert found.stats.std[4] == 1

    def never(_):
        raise AssertionError("the cache was not used")

    with monkeypatch.context() as patch:
        patch.setattr("vasa_jax.training.motion_clips._measure", never)
        same(index_clips(root, files).stats, found.stats)
        np.savez(files[0], motion=motion[:3], waveform=np.zeros(9, np.int16))
        with pytest.raises(AssertionError, match="cache"):
            index_clips(root, files)
    assert index_clips(root, files).frames[0] == 3


def test_features_instead_of_sound(folder):
    """Where the config's encoder is frozen."""
    size = "audio.encoder=whisper", "audio.variant=tiny.en", "audio.dim=384"
    for file in find_clips(folder)[1]:
        arrays = dict(np.load(file))
        audio = np.repeat(np.arange(1, len(arrays["motion"]) + 1)[:, None], 384, 1)
        np.savez(file, **arrays, audio=audio.astype(np.float16))
    batch = next(MotionClips(folder, get_config("debug", size), 4))
    assert batch.waveform is None
    expected = np.where(batch.valid, batch.motion[:, :, 1] + 1, 0)
    np.testing.assert_array_equal(batch.audio[:, :, 0], expected)


def test_a_training_step_takes_its_batches(folder):
    data = clips(folder, batch=CONFIG.train_motion.batch)
    task = motion_trainer(CONFIG, {"stats": data.stats}, batch=data.struct)
    batch = next(data)
    for value, spec in zip(jax.tree.leaves(batch), jax.tree.leaves(data.struct), strict=True):
        assert (value.shape, value.dtype) == (spec.shape, spec.dtype)
    state = jax.eval_shape(task.init, jax.random.key(0), task.frozen)
    jax.eval_shape(
        lambda s, f, b: task.step(single_device(), s, f, b, jax.random.key(0)),
        state,
        task.frozen,
        batch,
    )


def test_correlations_reach_the_task(folder, monkeypatch):
    """Number 1 counts frames: after `lag` of them it has moved by `lag`. Number 0 never moves."""
    found = clips(folder).correlations()
    std = clips(folder).stats.std[1].astype(np.float64)
    lags = np.arange(1, W + 1)
    np.testing.assert_allclose(found[:, 1], np.maximum(0, 1 - lags**2 / (2 * std**2)), atol=1e-6)
    assert (found[:, 0] == 1).all()
    given = {}

    def keep(task, *_, **__):
        given["task"] = task
        return Result(0, True, None)

    monkeypatch.setattr("vasa_jax.training.run.train", keep)
    run(
        get_config("debug", ["motion.extensions.residual_prior=true"]),
        "motion",
        folder / "work",
        folder,
    )
    np.testing.assert_array_equal(given["task"].frozen["correlations"], found)
    run(CONFIG, "motion", folder / "work", folder)
    assert "correlations" not in given["task"].frozen


def test_splits(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("split")
    for split, number in (("train", 2), ("val", 3)):
        (root / split).mkdir()
        np.savez(root / split / "a.npz", **clip(number, 30))
    assert set(next(clips(root)).motion[:, K, 0]) == {2.0}
    assert set(next(clips(root, split="val")).motion[:, K, 0]) == {3.0}


def test_clips_are_told_from_shards(folder, tmp_path_factory):
    assert is_clip_folder(folder)
    shards = tmp_path_factory.mktemp("shards")
    np.savez(shards / "0.npz", motion=np.zeros((2, K + W, DIM)), valid=np.ones((2, K + W), bool))
    assert not is_clip_folder(shards)
    assert not is_clip_folder(shards / "missing")


def test_mistakes(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(UserError, match="holds no clips"):
        clips(empty)
    with pytest.raises(UserError, match="a batch of 5 cannot be shared by 2 hosts"):
        clips(folder, batch=5, process_index=0, process_count=2)
    (empty / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="not a readable clip"):
        clips(empty)
    np.savez(empty / "a.npz", motion=np.full((3, DIM), np.nan, np.float32))
    with pytest.raises(UserError, match="NaN"):
        clips(empty)
    np.savez(empty / "a.npz", motion=np.zeros((3, 5), np.float32))
    with pytest.raises(UserError, match="vectors of 5 numbers"):
        clips(empty)
    np.savez(empty / "a.npz", motion=np.zeros((3, DIM), np.float32))
    with pytest.raises(UserError, match="needs an array 'waveform'"):
        next(clips(empty))
    np.savez(empty / "a.npz", **clip(0, 30), gaze=np.zeros(3, np.float32))
    with pytest.raises(UserError, match="label 'gaze' must be 2"):
        next(clips(empty))
    for name in "ab":
        record = np.array(json.dumps({"model": name}))
        np.savez(empty / f"{name}.npz", **clip(0, 30), record=record)
    with pytest.raises(UserError, match="another model"):
        clips(empty)
    (empty / "b.npz").unlink()
    state = clips(folder).state()
    with pytest.raises(UserError, match="holds other clips"):
        clips(empty).restore(state)
