"""The expression network: face-api's own TensorFlow.js as oracle."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from skimage import data

from tests import needs
from vasa_jax import zoo
from vasa_jax.errors import UserError
from vasa_jax.perception.expression import CLASSES, DepthwiseConv, ExpressionNet, load

GOLDEN = Path(__file__).parent / "golden" / "face_expression.json"
needs_weights = needs.weights("face-expression")


@pytest.fixture(scope="module")
def params():
    return load(zoo.ensure("face-expression"))


@needs_weights
def test_logits_are_face_apis(params):
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    chips = np.stack([data.astronaut()[60:172, 160:272], noise]).astype(np.float32) / 255
    logits = np.asarray(jax.jit(ExpressionNet().apply)({"params": params}, chips))
    theirs = np.array(json.loads(GOLDEN.read_text())["logits"])
    np.testing.assert_allclose(logits, theirs, atol=5e-5)  # 1e-5 measured
    assert CLASSES[logits[0].argmax()] == "happiness"  # she smiles


@needs_weights
def test_every_parameter_is_filled(params):
    shapes = jax.eval_shape(
        ExpressionNet().init, jax.random.key(0), jax.ShapeDtypeStruct((1, 112, 112, 3), np.float32)
    )["params"]
    assert jax.tree.map(lambda s: s.shape, shapes) == jax.tree.map(lambda a: a.shape, params)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 323_687


def test_another_network_is_refused(tmp_path):
    (tmp_path / "m.bin").write_bytes(np.zeros(2, np.float32).tobytes())
    (tmp_path / "m-weights_manifest.json").write_text(
        '[{"weights": [{"name": "fc/bias", "shape": [2], "dtype": "float32"}]}]'
    )
    with pytest.raises(UserError, match="face_expression_model"):
        load(tmp_path / "m.bin")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(7, 9), (8, 6), (5, 8)])
def test_shifted_products_are_a_grouped_convolution(stride, size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *size, 4)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 1, 4)).astype(np.float32)
    ours = DepthwiseConv(stride).apply({"params": {"kernel": kernel}}, jax.numpy.asarray(x))
    theirs = jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "SAME",
        feature_group_count=4,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
