"""From tracks to stage 2: clips that it trains on, and the audio encoder's head start."""

import jax
import numpy as np
import pytest

from recipes.demo.data import track_speech, tracks
from recipes.demo.data.track_motion import main, write_motion
from recipes.demo.stages.phoneme_pretrain import pretrain
from tests.data_pipeline.synthetic.helpers import chatter
from tests.recipes.data.test_tracks import STANCE
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.synthetic.performance import perform
from vasa_jax.data_pipeline.synthetic.plan import ClipJob, Plan
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_regressor import Codes, fit, save_read_in
from vasa_jax.training import run as training
from vasa_jax.training.motion_clips import MotionClips, read_clip

PLAN = Plan(seed=3, identities=4, minutes=1, seconds=3.0, any_faces=True)
CONFIG = get_config(
    "debug",
    [
        "audio.encoder=mel",
        "audio.variant=",
        "audio.mel_width=48",
        "audio.mel_blocks=2",
        "train_motion.batch=8",
    ],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("tracks")
    for person, split in enumerate(("train", "train", "train", "train", "train", "test")):
        job = ClipJob(person, 0, split)
        speech = chatter(3.2, seed=person)
        speech = speech._replace(waveform=speech.waveform[: 75 * 640])
        clip = tracks.label(job, PLAN, STANCE, speech, perform((5, person), speech))
        tracks.write_track(tracks.place_of(out, PLAN, job), clip)
    return out


def read_in(dim):
    rng = np.random.default_rng(1)
    f32 = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    return fit(Codes(f32(80, dim), f32(80, 52), f32(80, 2), np.arange(80)), "linear")


def test_clips_hold_the_tracks(folder, tmp_path):
    reader = read_in(CONFIG.face.dyn_dim)
    lines = []
    assert write_motion(folder, tmp_path, reader, lines.append) == (6, 0)
    distances = []
    for split, files in tracks.find_tracks(folder).items():
        for file in files:
            track, clip = tracks.read_track(file), read_clip(tmp_path / split / file.name)
            pose = np.concatenate([track.rotation, track.translation, track.log_scale], 1)
            np.testing.assert_array_equal(clip["motion"][:, :7], pose)
            want = reader(track.arkit, track.eyes)
            np.testing.assert_array_equal(clip["motion"][:, 7:], want)
            np.testing.assert_allclose(clip["waveform"], track.audio / 32767, atol=1e-6)
            np.testing.assert_array_equal(clip["gaze"], track.main_gaze)
            np.testing.assert_array_equal(clip["emotion"], track.emotion)
            distances += [float(clip["distance"])] if split == "train" else []
    assert np.mean(distances) == pytest.approx(1, abs=1e-6)
    before = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*.npz")}
    assert write_motion(folder, tmp_path, reader, lines.append) == (0, 6)
    assert before == {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*.npz")}
    assert write_motion(folder, tmp_path, read_in(3), lines.append) == (6, 0)
    with pytest.raises(UserError, match="holds no tracks"):
        write_motion(tmp_path / "none", tmp_path, reader, lines.append)


def test_stage_two_trains_on_them(folder, tmp_path):
    """From the files by `training.run`, the audio encoder starting where phonemes left it."""
    save_read_in(tmp_path / "r.safetensors", read_in(CONFIG.face.dyn_dim))
    clips = tmp_path / "clips"
    assert main([str(folder), "--read-in", str(tmp_path / "r.safetensors"), "-o", str(clips)]) == 0
    spoken, held = track_speech.speech_of(folder)
    assert len(spoken.phonemes) == 5
    found = pretrain(CONFIG, spoken, held, steps=2, batch=2, frames=25)
    data = MotionClips(clips, CONFIG)
    task = training.make_trainer(CONFIG, "motion", data, {"stats": data.stats})
    initial = task.init(jax.random.key(0), task.frozen).params
    assert jax.tree.map(np.shape, initial["audio"]) == jax.tree.map(np.shape, found.audio)
    result = training.run(
        CONFIG,
        "motion",
        tmp_path / "work",
        clips,
        steps=2,
        initial=initial | {"audio": found.audio},
    )
    assert result.step == 2
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(jax.device_get(result.state.params)))
