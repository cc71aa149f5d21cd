"""The benchmarked model's parameters."""

import jax
import pytest

from vasa_jax.benchmark.subject import random_params
from vasa_jax.config import get_config


def test_parameters_do_not_depend_on_the_picture_size():
    from vasa_jax.bundle import abstract_params

    config = get_config("demo")
    other = get_config("demo", ["face.image_size=512", "face.extensions.network_size=0"])
    assert abstract_params(config)["face"] == abstract_params(other)["face"]


def test_random_parameters_keep_a_signal_alive():
    shapes = {
        "a": {
            "kernel": jax.ShapeDtypeStruct((3, 3, 64, 32), "float32"),
            "bias": jax.ShapeDtypeStruct((32,), "float32"),
            "scale": jax.ShapeDtypeStruct((32,), "bfloat16"),
        }
    }
    made = random_params(shapes)["a"]
    assert made["kernel"].std() == pytest.approx((9 * 64) ** -0.5, rel=0.05)
    assert (made["bias"] == 0).all()
    assert (made["scale"] == 1).all()
    assert made["scale"].dtype == "bfloat16"
