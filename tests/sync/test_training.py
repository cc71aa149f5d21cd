"""`vasa-jax train sync` and `export`, as a user runs them; its data, and a mesh."""

import json

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.sync.helpers import face_and_sound, write_clips
from vasa_jax.cli import main
from vasa_jax.config.sync import get_sync_config
from vasa_jax.errors import UserError
from vasa_jax.sync.av_sync import load
from vasa_jax.sync.clips import LipClips, read_lip_clip, stored_mark
from vasa_jax.sync.trainer import sync_trainer
from vasa_jax.training.loop import train


def _run(*words):
    return main([str(word) for word in words])


def _config(*overrides):
    return get_sync_config("av_sync_debug", overrides)


def test_train_resume_export_load(tmp_path, capsys):
    write_clips(tmp_path / "data")
    run, out = tmp_path / "run", tmp_path / "out"
    train = ("train", "sync", "--config", "av_sync_debug", "--data", tmp_path / "data", "-q")
    assert _run(*train, "--workdir", run, "--steps", 2) == 0
    assert _run(*train, "--workdir", run, "--steps", 4) == 0
    assert _run("export", run, "-o", out, "--bf16") == 0
    assert "sync network 'av_sync_debug', step 4" in capsys.readouterr().err
    assert json.loads((out / "config.json").read_text())["config"]["sync"]["width"] == 16
    points, wave = face_and_sound(9)
    assert load(out)(points, wave).measured

    # A killed run and one that went through see the same batches.
    whole = tmp_path / "whole"
    assert _run(*train, "--workdir", whole, "--steps", 4) == 0
    assert _run("export", whole, "-o", tmp_path / "again", "--bf16") == 0
    content = [(f / "model.safetensors").read_bytes() for f in (out, tmp_path / "again")]
    assert content[0] == content[1]

    assert _run(*train, "--workdir", run, "--set", "sync.width=8") == 2
    assert "was trained with sync.width=16, this run asks for 8" in capsys.readouterr().err
    assert _run("export", run, "-o", out, "--int8") == 2
    assert _run("export", run, whole, "-o", out) == 2
    assert "by itself" in capsys.readouterr().err
    (out / "mine.txt").write_text("keep")
    assert _run("export", run, "-o", out) == 2
    assert (out / "mine.txt").read_text() == "keep"


def test_it_learns_when_lips_and_sound_agree(tmp_path):
    """Of made clips: the mouth's opening is the loudness."""
    write_clips(tmp_path / "data", 8)
    config = _config(
        "train_sync.steps=150",
        "train_sync.batch=16",
        "train_sync.augment=false",
        "train_sync.learning_rate=1e-2",
        "sync.width=24",
    )
    found = train(sync_trainer(config), tmp_path / "run", LipClips(tmp_path / "data", config))
    assert found.finished
    from vasa_jax.sync.run import export_sync
    from vasa_jax.sync.weights import save_sync

    save_sync(tmp_path / "out", export_sync(tmp_path / "run"))
    score = load(tmp_path / "out")
    for shift in (-3, 0, 2):
        points, wave = face_and_sound(77)
        heard = np.roll(wave, 640 * shift)
        assert abs(score(points, heard).offset + shift) <= 1


def test_rows_are_lips_and_the_sound_around_them(tmp_path):
    write_clips(tmp_path, 2)
    config = _config("train_sync.augment=false")
    batch = next(LipClips(tmp_path, config))
    w, s = config.train_sync.window, config.train_sync.shift
    assert batch.lips.shape == (8, w, 147)
    assert batch.sounds.shape == (8, w + 2 * s, 32)
    assert (batch.start >= 0).all()
    assert (batch.start + batch.length <= w).all()
    assert (batch.length >= config.train_sync.shortest).all()
    # The lower lip's height and the loudness of the same frames go together, up or down: the made
    # face is no mean head, and its axes may be turned.
    lower = batch.lips.reshape(8, w, -1, 3)[:, :, -5, 1]  # point 14, of the middle line
    loud = batch.sounds[:, s : s + w].mean(-1)
    now = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(lower, loud, strict=True)]
    early = batch.sounds[:, :w].mean(-1)
    late = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(lower, early, strict=True)]
    assert np.median(now) > 0.7
    assert np.median(late) < 0.5


def test_augmented_rows_differ_and_repeat(tmp_path):
    write_clips(tmp_path, 2)
    config = _config()
    first, again = LipClips(tmp_path, config), LipClips(tmp_path, config)
    a, b = next(first), next(first)
    jax.tree.map(assert_allclose, a, next(again))
    assert np.abs(a.lips - b.lips).mean() > 0.01
    again.restore({"index": 1})
    jax.tree.map(assert_allclose, b, next(again))
    assert np.isfinite(a.lips).all()
    assert np.isfinite(a.sounds).all()


def test_clips_that_cannot_teach_are_left_out(tmp_path):
    write_clips(tmp_path, 1, frames=20)
    with pytest.raises(UserError, match="holds 0 clips of a face with sound"):
        LipClips(tmp_path, _config())
    (tmp_path / "train" / "other.npz").write_bytes(b"no zip")
    with pytest.raises(UserError, match="is no clip of lips and sound"):
        LipClips(tmp_path, _config())


def test_a_stored_clip_is_what_was_seen(tmp_path):
    write_clips(tmp_path, 1)
    path = tmp_path / "train" / "clip0.npz"
    points, wave = face_and_sound(0)
    found = read_lip_clip(path)
    from vasa_jax.sync.lips import align_lips

    assert_allclose(found.lips, align_lips(points), rtol=1e-3, atol=1e-2)
    assert_allclose(found.wave, wave, atol=1e-4)
    assert stored_mark(path) == "mark0"
    assert stored_mark(tmp_path / "none.npz") is None
    np.savez(tmp_path / "other.npz", lips=np.zeros((3, 2, 3)), audio=np.zeros(9, np.int16))
    with pytest.raises(UserError, match="is no clip of 49 lip points"):
        read_lip_clip(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "nowhere"), "no such data folder"),
        (("--config", "demo"), "unknown config 'demo' of the sync network"),
        (("--vgg", "x"), "--vgg is not for `train sync`"),
        (("--audio-weights", "x"), "--audio-weights is not for `train sync`"),
        (("--workers", "-1"), "must not be negative"),
        (("--set", "train_sync.accumulate=2"), "must be 1"),
        (("--set", "train_sync.shortest=30"), "must not decrease"),
        (("--set", "sync.kernel=4"), "must be odd"),
        (("--set", "precision=bf16"), "computes in f32 alone"),
    ],
)
def test_mistakes(words, said, tmp_path, capsys):
    assert _run("train", "sync", "--workdir", tmp_path / "run", *words) == 2
    assert said in capsys.readouterr().err


def test_two_devices_train_as_one(tmp_path):
    """The loss pairs examples of all devices."""
    write_clips(tmp_path / "data", 4)
    results = []
    for count in (1, 2):
        config = _config("mesh.data=-1", "train_sync.augment=false", "train_sync.log_every=1")
        run = tmp_path / str(count)
        data, devices = LipClips(tmp_path / "data", config), jax.devices()[:count]
        results.append(train(sync_trainer(config), run, data, steps=3, devices=devices))
    one, two = (jax.tree.leaves(jax.device_get(r.state.params)) for r in results)
    for a, b in zip(one, two, strict=True):
        assert_allclose(a, b, atol=2e-4)
