"""Stage 2's step: it learns, its meshes and microbatches agree, sound and features both work."""

import jax
import numpy as np
import optax
import pytest
from checks import gatherable, gathered_shapes, one_step, relative_error

from vasa_jax.config import get_config
from vasa_jax.extensions.residual_prior import PARAMETER as PRIOR
from vasa_jax.motion.stats import MotionStats
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.loop import train
from vasa_jax.training.mesh import path_name, single_device
from vasa_jax.training.motion_batch import motion_batch_struct
from vasa_jax.training.motion_trainer import motion_trainer
from vasa_jax.training.program import build_program, init_state, put_batch
from vasa_jax.training.run import export, run

SGD = optax.sgd(1.0)


def config_of(*settings):
    return get_config("debug", ["motion.layers=1", "audio.mel_blocks=1", *settings])


def changes(result):
    return jax.tree.map(np.subtract, result[2].params, result[0].params)


@pytest.fixture(scope="module")
def alone():
    return one_step(motion_trainer(config_of(), optimizer=SGD), 1)


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 4, 1), (2, 2, 2), (1, 1, 2)])
def test_step_is_the_same_on_every_mesh(alone, shape):
    names = zip(("data", "fsdp", "tensor"), shape, strict=True)
    config = config_of("mesh.fsdp_floor=64", *(f"mesh.{n}={ways}" for n, ways in names))
    other = one_step(motion_trainer(config, optimizer=SGD), 8)
    assert relative_error(changes(other), changes(alone)) < 1e-5
    for name, value in alone[3].items():
        np.testing.assert_allclose(other[3][name], value, rtol=1e-5, atol=1e-7)
    gathered = gathered_shapes(other[1])
    assert bool(gathered) == (shape[1] > 1)
    assert set(gathered) <= gatherable(alone[0].params, shape[2])


def ragged(batch):
    """The batch with clips of other lengths, as many as examples, and labels that are not there."""
    count, frames = batch.valid.shape
    last = np.linspace(7, frames, count).astype(int)
    valid = np.arange(frames) < last[:, None]
    valid[::3, :5] = False  # a clip's first window has nothing before it
    return batch._replace(valid=valid, has_gaze=np.arange(count) % 3 == 0)


@pytest.mark.parametrize("prior", ["false", "true"])
def test_accumulated_and_rematerialised_are_the_plain_step(prior):
    losses = ("velocity_weight=3", "smoothness_weight=2", "lips_weight=1")
    more = (
        *(f"train_motion.{loss}" for loss in losses),
        f"motion.extensions.residual_prior={prior}",
        "face.dyn_dim=56",
    )
    steps = [
        one_step(motion_trainer(config_of(*more, *settings), optimizer=SGD), 1, change=ragged)
        for settings in (
            (),
            ("train_motion.accumulate=2",),
            ("train_motion.accumulate=4", "train_motion.remat=dots"),
        )
    ]
    for other in steps[1:]:
        assert relative_error(changes(other), changes(steps[0])) < 1e-5
        for name in ("loss", "x0", "velocity", "smoothness", "lips"):
            np.testing.assert_allclose(other[3][name], steps[0][3][name], rtol=2e-6)


def test_every_parameter_learns_and_the_encoder_too(alone):
    moved = jax.tree.map(lambda x: bool(np.any(x)), changes(alone))
    assert all(jax.tree.leaves(moved["audio"]))
    # A null token learns only in steps that drop its condition.
    still = [
        path_name(path)
        for path, x in jax.tree_util.tree_flatten_with_path(moved["motion"])[0]
        if not x
    ]
    assert all(name.startswith("null_") for name in still)
    assert len(still) < 3


def test_it_learns_one_batch():
    config = config_of("train_motion.learning_rate=3e-3")
    task = motion_trainer(config)
    program = build_program(task, single_device())
    state = init_state(task, program)
    batch = put_batch(task, program, next(FakeBatches(task.batch)))
    frozen = jax.device_put(task.frozen, program.frozen)
    compiled = program.jitted.lower(state, frozen, batch).compile()
    losses = []
    for _ in range(300):
        state, metrics, _ = compiled(state, frozen, batch)
        losses.append(float(metrics["loss"]))
    # Noise levels differ from step to step, so means are compared.
    assert np.mean(losses[-20:]) < 0.1 * losses[0]


def test_statistics_reach_the_state_and_normalise(alone):
    config = config_of()
    dim = config.face.motion_dim
    stats = MotionStats(np.full(dim, 0.5, np.float32), np.full(dim, 0.25, np.float32))
    result = one_step(motion_trainer(config, {"stats": stats}, optimizer=SGD), 1)
    np.testing.assert_array_equal(result[2].constants["std"], stats.std)
    assert abs(result[3]["loss"] - alone[3]["loss"]) > 0.1


def test_the_prior_is_measured_and_not_learned():
    config = config_of("motion.extensions.residual_prior=true", "train_motion.warmup=0")
    shape = config.motion.window, config.face.motion_dim
    start, _, end, _ = one_step(motion_trainer(config, {"correlations": np.full(shape, 0.7)}), 1)
    for state in (start, end):
        np.testing.assert_allclose(state.params["motion"][PRIOR], np.log(0.3), rtol=1e-6)
        np.testing.assert_array_equal(state.ema["motion"][PRIOR], start.params["motion"][PRIOR])
    assert relative_error(end.params["motion"]["head"], start.params["motion"]["head"]) > 0


def test_sound_for_trained_encoders_features_for_frozen_ones():
    config = get_config("vasa1")
    struct = motion_batch_struct(config, 2)
    frames = config.motion.window + config.motion.context
    assert struct.waveform is None
    assert struct.audio.shape == (2, frames, 768)
    config = config_of()
    struct = motion_batch_struct(config, 2)
    assert struct.audio is None
    # One frame of convolution and one of the spectrogram's window on each side.
    assert struct.waveform.shape == (2, (25 + 2 * 2) * 640)


@pytest.mark.parametrize("platform", ["cpu", "tpu", "cuda"])
def test_full_size_step_lowers(platform):
    config = get_config("vasa1")
    task = motion_trainer(config)
    program = build_program(task, single_device())
    traced = program.jitted.trace(program.abstract_state, task.frozen, task.batch)
    assert "bf16" in traced.lower(lowering_platforms=(platform,)).as_text()


def test_run_and_export_from_a_folder(tmp_path):
    config = config_of("train_motion.save_every=2", "train_motion.log_every=1", "mesh.data=1")
    struct = motion_batch_struct(config, 8)
    for i in range(2):
        batch = next(FakeBatches(struct, seed=i))
        np.savez(
            tmp_path / f"{i}.npz", **{k: v for k, v in batch._asdict().items() if v is not None}
        )
    result = run(config, "motion", tmp_path / "work", tmp_path, steps=2)
    assert result.finished
    found = export(config, "motion", tmp_path / "work")
    assert found.step == 2
    assert set(found.params) == {"motion", "audio"}
    jax.tree.map(
        np.testing.assert_array_equal, found.params, jax.tree.map(np.array, result.state.ema)
    )
    # uniform in [0, 1]
    np.testing.assert_allclose(found.stats.mean, 0.5, atol=0.1)
    np.testing.assert_allclose(found.stats.std, 12**-0.5, atol=0.05)


def test_train_is_quiet_without_a_reporter(tmp_path, capsys):
    task = motion_trainer(config_of())
    train(task, tmp_path, FakeBatches(task.batch), steps=1, devices=jax.devices()[:1])
    assert capsys.readouterr().out == ""
