"""Training runs to bundles and back: averaged parameters, statistics, what is missing."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax import cli
from vasa_jax.bundle import load_bundle, save_bundle
from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.motion.seen import SeenLabels
from vasa_jax.params import load_safetensors, save_safetensors
from vasa_jax.training.export_bundle import assemble, stage_of
from vasa_jax.training.motion_clips import MotionClips
from vasa_jax.training.run import run

CONFIG = get_config("debug")
DIM = CONFIG.face.motion_dim
LABELS = {
    "a": {"emotion": np.float32([0.2, 0, 0, 0, 0.5, 0.3, 0, 0]), "gaze": np.zeros(2, np.float32)},
    "b": {"emotion": np.float32([0.05, 0, 0, 0, 0.15, 0.8, 0, 0])},
}
SEEN = SeenLabels(True, (0.2, 0.0, 0.0, 0.0, 0.5, 0.8, 0.0, 0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two clips, as `extract-motion` writes them."""
    folder, draw = tmp_path_factory.mktemp("clips"), np.random.default_rng(1)
    for name in "ab":
        motion = draw.normal(3, 2, (30, DIM)).astype(np.float32)
        wave = draw.integers(-9000, 9000, 30 * 640).astype(np.int16)
        np.savez(folder / f"{name}.npz", motion=motion, waveform=wave, **LABELS[name])
    return folder


@pytest.fixture(scope="module")
def data(folder):
    """Windows of the clips."""
    return MotionClips(folder, CONFIG, 2)


@pytest.fixture(scope="module")
def motion(folder, tmp_path_factory):
    """A run of two steps of stage 2, and the state it ended with."""
    workdir = tmp_path_factory.mktemp("motion")
    small = get_config("debug", ["mesh.data=1", "train_motion.batch=2"])
    result = run(small, "motion", workdir, folder, steps=2)
    return workdir, jax.tree.map(np.asarray, result.state)


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    """A checkpoint of stage 1 as training saves it; no step is taken, for time's sake."""
    from vasa_jax.training.checkpoint import Checkpoints
    from vasa_jax.training.face_trainer import face_trainer
    from vasa_jax.training.program import abstract_state

    workdir = tmp_path_factory.mktemp("face")
    task = face_trainer(CONFIG)
    draw = np.random.default_rng(0)
    state = jax.tree.map(
        lambda x: jnp.asarray(draw.normal(size=x.shape), x.dtype), abstract_state(task)
    )
    checkpoints = Checkpoints(workdir / "checkpoints")
    checkpoints.save(3, state, None, CONFIG, "face")
    checkpoints.close()
    return workdir, jax.tree.map(np.asarray, state)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def words(face, motion):
    return ["export", str(face[0]), "--motion", str(motion[0]), "--config", "debug", "-q"]


@pytest.fixture(scope="module")
def bundle(words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "b"
    assert cli.main([*words, "-o", str(folder)]) == 0
    return folder


def test_both_runs_to_a_bundle_and_back(face, motion, data, bundle):
    found = load_bundle(bundle, "debug")
    assert found.trained
    assert found.config == CONFIG
    same(found.params["face"], face[1].ema["face"])
    same(found.params["motion"], motion[1].ema["motion"])
    same(found.params["audio"], motion[1].ema["audio"])
    same(found.stats, data.stats)
    for state in (face[1], motion[1]):  # or this test could not tell which one was taken
        other = jax.tree.map(lambda a, b: not np.array_equal(a, b), state.ema, state.params)
        assert any(jax.tree.leaves(other))


def test_what_the_clips_are_labelled_with_goes_into_the_bundle(motion, bundle, tmp_path):
    found = load_bundle(bundle).seen
    assert found.gaze
    np.testing.assert_allclose(found.emotion, SEEN.emotion, atol=1e-3)
    assert found.lacking() == ["contempt", "disgust", "fear", "sadness", "surprise"]
    # A motion model that comes from a base brings what its own clips held.
    one = assemble(CONFIG, motion=motion[0]).bundle
    save_bundle(tmp_path / "base", one._replace(seen=SeenLabels(False, (0.0,) * 8)))
    assert load_bundle(tmp_path / "base").seen == SeenLabels(False, (0.0,) * 8)
    save_bundle(tmp_path / "old", one._replace(seen=None))
    assert load_bundle(tmp_path / "old").seen is None


def test_generate_says_what_the_model_never_learnt(bundle, capsys):
    from vasa_jax.cli import build_parser
    from vasa_jax.commands import options
    from vasa_jax.commands.generate import load_pipeline
    from vasa_jax.inference.progress import Reporter

    words = ["generate", "-s", "x", "-a", "x", "-o", "x", "--checkpoint", str(bundle), "--emotion"]
    for emotion, said in (("contempt=0.5,happiness=0.2", True), ("happiness=0.6", False)):
        given = build_parser().parse_args([*words, emotion])
        load_pipeline(given, Reporter(), controls=[options.controls(given)])
        assert ("holds contempt" in capsys.readouterr().err) == said


def test_bf16_halves_the_file_but_not_the_statistics(words, data, bundle, tmp_path):
    assert cli.main([*words, "-o", str(tmp_path / "half"), "--bf16"]) == 0
    full, half = load_bundle(bundle), load_bundle(tmp_path / "half")
    sizes = [
        (folder / "model.safetensors").stat().st_size for folder in (bundle, tmp_path / "half")
    ]
    assert sizes[1] < 0.65 * sizes[0]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2**-8), full.params, half.params
    )
    same(half.stats, data.stats)


def test_what_is_missing_comes_from_a_seed(motion, data, debug_bundle):
    found = assemble(CONFIG, motion=motion[0])
    assert not found.bundle.trained
    assert len(found.notes) == 1
    assert "face from seed 0" in found.notes[0]
    same(found.bundle.params["face"], debug_bundle.params["face"])
    same(found.bundle.params["motion"], motion[1].ema["motion"])
    same(found.bundle.stats, data.stats)
    assert found.origin["motion"].endswith("step 2")


def test_what_is_missing_comes_from_a_base(face, motion, data, debug_bundle, tmp_path):
    save_bundle(tmp_path / "base", assemble(CONFIG, motion=motion[0]).bundle)
    found = assemble(CONFIG, face=face[0], base=tmp_path / "base")
    assert not found.bundle.trained  # its base was not
    same(found.bundle.params["face"], face[1].ema["face"])
    same(found.bundle.params["motion"], motion[1].ema["motion"])
    same(found.bundle.stats, data.stats)
    save_bundle(tmp_path / "base", debug_bundle._replace(trained=True))
    found = assemble(CONFIG, motion=motion[0], base=tmp_path / "base")
    assert found.bundle.trained
    same(found.bundle.params["face"], debug_bundle.params["face"])
    same(found.bundle.params["audio"], motion[1].ema["audio"])


def test_stages_are_known_by_their_checkpoints(face, motion):
    assert stage_of(face[0]) == "face"
    assert stage_of(motion[0]) == "motion"


def test_mistakes(face, motion, tmp_path, capsys):
    with pytest.raises(UserError, match="nothing to export"):
        assemble(CONFIG)
    with pytest.raises(UserError, match="holds no checkpoints"):
        stage_of(tmp_path)
    with pytest.raises(UserError, match="of stage 'motion', not of 'face'"):
        assemble(CONFIG, face=motion[0])
    with pytest.raises(UserError, match=r"was trained with motion\.layers=2"):
        assemble(get_config("debug", ["motion.layers=3"]), motion=motion[0])
    with pytest.raises(UserError, match="has no published weights"):
        assemble(CONFIG, motion=motion[0], audio_weights=tmp_path / "x.safetensors")
    words = ["export", "-o", str(tmp_path / "b"), "--config", "debug"]
    assert cli.main([*words, str(motion[0]), "--motion", str(motion[0])]) == 2
    assert "second run of stage 'motion'" in capsys.readouterr().err
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").write_text("dear")
    assert cli.main([*words, str(motion[0])]) == 2
    assert "is no bundle" in capsys.readouterr().err
    assert (tmp_path / "b" / "letter.txt").read_text() == "dear"
    header = next((motion[0] / "checkpoints").glob("*/config/metadata"))
    assert json.loads(header.read_text())["stage"] == "motion"


def test_whoever_may_read_files_here_may_read_weights(tmp_path):
    """safetensors itself makes files for their owner alone."""
    (tmp_path / "plain").write_text("x")
    save_safetensors(tmp_path / "w.safetensors", {"a": np.ones(3, np.float32)}, {})
    mode = (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "w.safetensors").stat().st_mode == mode
    assert load_safetensors(tmp_path / "w.safetensors")["a"].tolist() == [1, 1, 1]
