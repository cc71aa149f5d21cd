"""The gate's figures, on models whose answer is known."""

import jax
import numpy as np
import pytest

from recipes.demo.sanity_check import encoder_figures, generator_figures, measure
from tests.data_pipeline.helpers import write_groups
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.loading.pairs import PLAIN
from vasa_jax.data_pipeline.loading.swap_groups import SwapGroups
from vasa_jax.extensions.build import build_face_model
from vasa_jax.typing import Motion, Pose

SIZE = 64
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held")
    write_groups(folder, 4, size=SIZE)
    config = get_config("debug", ["train_face.batch=4"])
    return next(SwapGroups(folder, config, augment=PLAIN))


def test_a_perfect_reader_passes_and_one_that_never_moves_does_not():
    rotation = RNG.normal(size=(200, 3)).astype(np.float32) * 0.2
    arkit = np.abs(RNG.normal(size=(200, 52))).astype(np.float32) * 0.2
    arkit[:, 5] = 0.0  # rests: not asked for
    mixing = RNG.normal(size=(52, 64))
    dyn = (arkit @ mixing).astype(np.float32)
    pose = Pose(rotation, np.zeros((200, 3), np.float32), np.zeros((200, 1), np.float32))
    exact = {"arkit": {"Dense_0": {"kernel": np.linalg.pinv(mixing), "bias": np.zeros(52)}}}
    perfect = encoder_figures(Motion(pose, dyn), exact, rotation, arkit)
    assert perfect["pose_deg"] == 0
    assert perfect["arkit_r2"] > 0.999
    assert perfect["arkit_r2.jawOpen"] > 0.999

    mean = {"arkit": {"Dense_0": {"kernel": np.zeros((64, 52)), "bias": arkit.mean(0)}}}
    off = pose._replace(rotation=rotation + np.radians([3.0, -6.0, 0.0]).astype(np.float32))
    still = encoder_figures(Motion(off, dyn), mean, rotation, arkit)
    assert still["arkit_r2"] == pytest.approx(0.0, abs=1e-5)
    assert [still[f"{n}_deg"] for n in ("pitch", "yaw", "roll")] == pytest.approx([3, 6, 0], 1e-4)
    assert still["pose_deg"] == pytest.approx(3.0, rel=1e-4)


def test_a_copy_of_the_source_has_no_sensitivity_and_the_truth_has_one(batch):
    truth = {
        "swap": batch.driver.image,
        "pose_only": batch.targets.pose_only,
        "dyn_only": batch.targets.dyn_only,
        "itself": batch.source.image,
    }
    right = generator_figures(truth, batch)
    assert right["dyn_only_psnr"] == right["swap_psnr"] == 100
    assert right["sensitivity"] == pytest.approx(1, rel=1e-5)
    assert right["expression_missed"] == 0
    copied = generator_figures(dict.fromkeys(truth, batch.source.image), batch)
    assert copied["sensitivity"] == 0
    assert copied["expression_missed"] == pytest.approx(1)
    for name in ("swap", "pose_only", "dyn_only"):
        assert copied[f"{name}_psnr"] == copied[f"{name}_copy_psnr"] < 40


def test_a_model_goes_through_both(batch):
    config = get_config("debug")
    image = np.zeros((1, SIZE, SIZE, 3), np.float32)
    face = jax.jit(build_face_model(config.face).init)(jax.random.key(0), image, image)["params"]
    found = measure(config, {"face": face}, [batch, batch])
    want = np.degrees(
        np.abs(np.concatenate([batch.source.pose.rotation, batch.driver.pose.rotation])).mean()
    )
    assert found["pose_deg"] == pytest.approx(want, rel=1e-3)  # a fresh pose net says 0
    assert "arkit_r2" not in found
    assert 0 < found["sensitivity"] < 10
