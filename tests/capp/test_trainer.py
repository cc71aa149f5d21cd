"""CAPP's step: the negatives of all devices, frozen speech networks, learning and resuming."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.capp.helpers import make_clip, write_clips
from vasa_jax.capp.run import export_capp, train_capp
from vasa_jax.capp.score import CappScorer
from vasa_jax.capp.trainer import capp_trainer
from vasa_jax.capp.windows import CappWindows
from vasa_jax.config import MeshConfig
from vasa_jax.config.capp import get_capp_config
from vasa_jax.errors import UserError
from vasa_jax.params import flatten
from vasa_jax.training.loop import train
from vasa_jax.training.mesh import Layout, make_mesh, single_device


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("clips")
    write_clips(out, 8)
    write_clips(out, 3, split="test")
    return out


def test_the_negatives_are_those_of_all_devices(folder):
    """Loss and gradients on a mesh are those of one device, which sees the whole batch."""
    config = get_capp_config("capp_debug", ["train_capp.amplitude_negatives=2"])
    trainer = capp_trainer(config)
    batch = next(CappWindows(folder, config))
    params = trainer.init(jax.random.key(0), {}).params

    def loss(layout):
        def value(params):
            terms = trainer.terms(trainer.predict(layout, params, layout.spread(batch)), batch)
            return terms[0][2].value

        return jax.jit(jax.value_and_grad(value))(params)

    mesh = make_mesh(MeshConfig(data=2, fsdp=2), jax.devices()[:4])
    one, many = loss(single_device()), loss(Layout(mesh, 2**10))
    np.testing.assert_allclose(many[0], one[0], rtol=1e-5)
    gradients = [flatten(jax.device_get(found[1])) for found in (one, many)]
    largest = max(float(np.abs(x).max()) for x in gradients[0].values())
    for name, want in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], want, atol=1e-5 * largest, err_msg=name)
    # Each device by itself would have found its own half easier to tell apart.
    half = jax.tree.map(lambda x: jnp.asarray(x[:4]), batch)
    found = trainer.predict(single_device(), params, half)
    assert float(trainer.terms(found, half)[0][2].value) < float(one[0]) - 0.3


def test_it_learns_to_tell_windows_apart_and_resumes(folder, tmp_path):
    """Heads that nod on bursts of noise: a shift of the sound shows on clips it has not seen."""
    overrides = [
        "train_capp.steps=120",
        "train_capp.batch=16",
        "train_capp.save_every=60",
        "train_capp.learning_rate=0.01",
        "train_capp.log_every=120",
        "mesh.data=1",
    ]
    config = get_capp_config("capp_debug", overrides)
    assert train_capp(config, tmp_path / "run", folder, steps=60).step == 60
    result = train_capp(config, tmp_path / "run", folder)
    assert result.step == 120
    assert result.finished
    once = train_capp(config, tmp_path / "once", folder)
    for name, value in flatten(once.state.params).items():
        np.testing.assert_allclose(
            flatten(result.state.params)[name], value, atol=1e-6, err_msg=name
        )
    weights = export_capp(tmp_path / "run")
    assert weights.step == 120
    scorer = CappScorer(weights)
    rotation, wave = make_clip(135, 77)
    starts = np.arange(20, 40, 5)
    scores = [scorer.windows(rotation, wave, starts, shift).mean() for shift in (0, 3, 8)]
    assert scores[0] > scores[1] + 0.1
    assert scores[0] > scores[2] + 0.2


def test_a_frozen_speech_network_stays(folder, tmp_path):
    """A Whisper of random weights: its arrays do not move, all else does."""
    config = get_capp_config(
        "capp_debug",
        [
            "audio.encoder=whisper",
            "audio.variant=tiny.en",
            "audio.dim=384",
            "train_capp.freeze_audio=true",
            "train_capp.batch=2",
            "train_capp.ema=0",
            "mesh.data=1",
        ],
    )
    trainer = capp_trainer(config)
    before = {}

    def keep(fresh):
        before.update(jax.tree.map(np.array, fresh))
        return fresh

    result = train(trainer, tmp_path, CappWindows(folder, config), steps=2, initial=keep)
    after = flatten(result.state.params)
    for name, value in flatten(before).items():
        moved = not np.array_equal(value, after[name])
        assert moved != name.startswith("encoder/") or name == "log_scale", name


def test_without_data_and_with_a_batch_that_cannot_be_split(tmp_path):
    config = get_capp_config("capp_debug", ["mesh.data=1"])
    assert train_capp(config, tmp_path / "a", None, steps=1).step == 1
    config = get_capp_config("capp_debug", ["train_capp.batch=3", "mesh.data=2"])
    with pytest.raises(UserError, match=r"train_capp\.batch=3 must be a multiple"):
        train_capp(config, tmp_path / "b", None, steps=1)
