"""Codes that labels settle, against the renderer's own arithmetic and against the encoder's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recipes.demo.data.tracks import eyes_in_head as by_tracks
from tests.face.toy import changed
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.synthetic.swapping import turn_gaze
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_code import (
    SCALE,
    batch_motions,
    eyes_in_head,
    fold_read_outs,
    label_code,
    label_motions,
    label_read_in,
)
from vasa_jax.extensions.label_losses import HEADS
from vasa_jax.training import face_batches as batches
from vasa_jax.typing import Motion, Pose

RNG = np.random.default_rng(0)


def test_eyes_are_turned_back_as_the_renderer_turned_them():
    eyes = RNG.uniform(-0.3, 0.3, (5, 2)).astype(np.float32)
    rotation = RNG.uniform(-0.5, 0.5, (5, 3)).astype(np.float32)
    gaze = np.stack(
        [turn_gaze(e[None], r[None])[0, 0] for e, r in zip(eyes, rotation, strict=True)]
    )
    found = eyes_in_head(jnp.asarray(gaze, jnp.float32), jnp.asarray(rotation))
    np.testing.assert_allclose(found, eyes, atol=2e-6)
    np.testing.assert_allclose(found, by_tracks(gaze, rotation), atol=2e-6)


def test_stage_two_and_stage_one_give_the_same_code():
    arkit = RNG.uniform(size=(7, 52)).astype(np.float32)
    eyes = RNG.normal(size=(7, 2)).astype(np.float32)
    code = np.asarray(label_code(jnp.asarray(arkit), jnp.asarray(eyes), 60))
    np.testing.assert_allclose(label_read_in(60)(arkit, eyes), code, rtol=1e-6)
    np.testing.assert_array_equal(code[:, 54:], 0)
    np.testing.assert_allclose(code[:, :52] / SCALE, arkit, rtol=1e-6)
    with pytest.raises(ValueError, match="54"):
        label_code(jnp.asarray(arkit), jnp.asarray(eyes), 53)


def test_both_motions_of_a_batch():
    batch = jax.tree.map(jnp.asarray, batches.random(get_config("debug"), 3))
    source, driver = label_motions(batch, 64)
    np.testing.assert_array_equal(source.pose.rotation, batch.source.pose.rotation)
    np.testing.assert_allclose(driver.dyn[:, :52], SCALE * batch.driver.arkit, rtol=1e-6)
    assert np.abs(source.dyn - driver.dyn).max() > 0.1


def test_motions_are_said_or_encoded_as_the_config_asks():
    batch = jax.tree.map(jnp.asarray, batches.random(get_config("debug"), 3))
    seen = []
    said = get_config("debug", ["train_face.arkit_code=true", "face.dyn_dim=64"])
    for ours, labels in zip(
        batch_motions(said, batch, seen.append), label_motions(batch, 64), strict=True
    ):
        np.testing.assert_array_equal(ours.dyn, labels.dyn)
    assert not seen
    with pytest.raises(UserError, match="use swaps"):
        batch_motions(said, changed(batch, source_gaze=None), seen.append)
    encoded = get_config("debug", ["train_face.arkit_code=false"])
    view = batch.driver.image / 2
    batch = changed(batch, source_view=None, driver_view=view)
    motions = label_motions(batch, 64)
    found = batch_motions(encoded, batch, lambda x: seen.append(x) or motions[len(seen) - 1])
    assert (seen[0] is batch.source.image, seen[1] is view, len(seen)) == (True, True, 2)
    assert found == motions


def test_a_source_may_be_encoded_while_a_driver_is_said():
    batch = jax.tree.map(jnp.asarray, batches.random(get_config("debug"), 3))
    config = get_config(
        "debug",
        [
            "train_face.arkit_code=true",
            "face.dyn_dim=64",
            "train_face.encoded_source=true",
        ],
    )
    said, seen = label_motions(batch, 64), []
    read = said[0]._replace(dyn=said[0].dyn + 1, pose=said[1].pose)
    source, driver = batch_motions(config, batch, lambda x: seen.append(x) or read)
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], batch.source.view)
    np.testing.assert_array_equal(source.dyn, read.dyn)
    for found, want in ((source.pose, said[0].pose), (driver, said[1])):
        jax.tree.map(np.testing.assert_array_equal, found, want)


def test_a_folded_encoder_says_what_its_heads_read():
    dim, features = 60, RNG.normal(size=(6, 32)).astype(np.float32)
    layer = {
        "kernel": RNG.normal(size=(32, dim)).astype(np.float32) / 6,
        "bias": RNG.normal(size=dim).astype(np.float32),
    }
    pose = Pose(RNG.normal(size=(6, 3)).astype(np.float32), np.zeros((6, 3)), np.zeros((6, 1)))
    code = lambda p: features @ p["kernel"] + p["bias"]  # noqa: E731
    motion = Motion(pose, code(layer))
    params = {"face": {"dyn": {"trunk": {}, "head": layer}, "pose": {}}}
    for k, name in enumerate(("arkit", "gaze")):
        params[name] = HEADS[name]().init(jax.random.key(k), motion)["params"]
        bias = RNG.normal(size=len(params[name]["Dense_0"]["bias"])).astype(np.float32)
        params[name] = {"Dense_0": params[name]["Dense_0"] | {"bias": bias}}

    def read(params, motion):
        return {
            n: np.asarray(HEADS[n]().apply({"params": params[n]}, motion))
            for n in ("arkit", "gaze")
        }

    folded = fold_read_outs(params)
    dyn = code(folded["face"]["dyn"]["head"])
    before, after = read(params, motion), read(folded, Motion(pose, dyn))
    for name in before:
        np.testing.assert_allclose(after[name], before[name], atol=2e-4)
    np.testing.assert_allclose(dyn[:, :52], SCALE * before["arkit"], atol=2e-4)
    # With the head straight, gaze is the eyes' direction in the head.
    straight = read(params, Motion(pose._replace(rotation=np.zeros((6, 3))), motion.dyn))["gaze"]
    np.testing.assert_allclose(dyn[:, 52:54], SCALE * straight, atol=2e-4)
    np.testing.assert_array_equal(dyn[:, 54:], 0)
    assert params["face"]["dyn"]["head"] is layer
