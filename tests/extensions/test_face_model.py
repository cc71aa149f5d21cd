"""Which model a config gets, and what the extended one adds to the paper's."""

import ast
import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vasa_jax
from vasa_jax.config import FaceExtensions, MotionExtensions, get_config
from vasa_jax.extensions.build import build_face_model, build_motion_model
from vasa_jax.extensions.face_model import ExtendedFaceModel
from vasa_jax.extensions.residual_prior import PriorMotionTransformer
from vasa_jax.face.model import FaceModel
from vasa_jax.motion.dit import MotionTransformer

CONFIG = get_config("debug").face


def test_the_papers_config_has_no_extension_and_gets_the_papers_models():
    config = get_config("vasa1")
    assert config.face.extensions == FaceExtensions()
    assert config.motion.extensions == MotionExtensions()
    assert config.face_losses.transfer.weight == 0
    assert not config.face_losses.adversarial.face_patches
    assert not config.train_face.arkit_code
    assert config.train_motion.lips_weight == 0
    assert type(build_face_model(config.face)) is FaceModel
    assert type(build_motion_model(config)) is MotionTransformer
    demo = get_config("demo")
    assert type(build_face_model(demo.face)) is ExtendedFaceModel
    assert type(build_motion_model(demo)) is PriorMotionTransformer


@pytest.mark.parametrize("room", ["face", "motion"])
def test_the_papers_rooms_import_no_extension(room):
    files = list((Path(vasa_jax.__file__).parent / room).glob("*.py"))
    assert len(files) > 8
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert not any("extensions" in name for name in names), file


def test_with_every_extension_off_it_is_the_papers_model():
    size = CONFIG.image_size
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.uniform(size=(2, size, size, 3)), jnp.float32) for _ in "ab")
    plain, extended = FaceModel(CONFIG), ExtendedFaceModel(CONFIG)
    params = jax.jit(plain.init)(jax.random.key(0), a, b)
    run = jax.jit(lambda model: model.apply(params, a, b), static_argnums=0)
    np.testing.assert_allclose(run(extended), run(plain), atol=1e-6)


def test_coarse_fields_are_enlarged_as_torch_does():
    torch = pytest.importorskip("torch")
    few = CONFIG.volume_size // 2
    coarse = dataclasses.replace(CONFIG, extensions=FaceExtensions(warp_size=few))
    field = np.random.default_rng(0).normal(size=(2, 4, few, few, 3)).astype(np.float32)
    found = ExtendedFaceModel(coarse).apply({}, jnp.asarray(field), method="_field")
    want = torch.nn.functional.interpolate(
        torch.from_numpy(field[0]).permute(0, 3, 1, 2), scale_factor=2, mode="bilinear"
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found[0], want, atol=1e-6)
