"""Kernels as int8: against torch's quantiser, through a bundle, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vasa_jax import int8
from vasa_jax.bundle import load_bundle, save_bundle
from vasa_jax.errors import UserError
from vasa_jax.params import flatten

RNG = np.random.default_rng(0)


def test_a_kernel_is_quantised_as_torch_does_it():
    kernel = RNG.normal(size=(3, 3, 8, 16)).astype(np.float32) * np.geomspace(1e-3, 10, 16)
    kernel = kernel.astype(np.float32)
    kernel[..., 5] = 0
    q, scale = int8.quantise(kernel)
    want = torch.quantize_per_channel(
        torch.from_numpy(kernel),
        torch.from_numpy(scale),
        torch.zeros(16, dtype=torch.int64),
        axis=3,
        dtype=torch.qint8,
    )
    np.testing.assert_array_equal(q, want.int_repr().numpy())
    assert q.min() >= -127
    again = q * scale
    np.testing.assert_allclose(again, want.dequantize().numpy(), rtol=1e-6)
    largest = np.abs(kernel).max((0, 1, 2))
    assert (np.abs(again - kernel).max((0, 1, 2)) <= largest / 254 * 1.001).all()
    assert not again[..., 5].any()


def test_only_large_kernels_are_packed():
    flat = {
        "face/a/ws_kernel": RNG.normal(size=(3, 3, 32, 32)).astype(np.float32),
        "face/a/bias": np.ones(32, np.float32),
        "face/b/kernel": np.ones((4, 4), np.float32),
        "face/maps": np.ones((64, 128), np.float32),
    }
    packed = int8.pack(flat, np.float32)
    assert set(packed) - set(flat) == {"face/a/ws_kernel@scale"}
    assert packed["face/a/ws_kernel"].dtype == np.int8
    again = int8.unpack(packed, "file")
    assert set(again) == set(flat)
    for name in set(flat) - {"face/a/ws_kernel"}:
        np.testing.assert_array_equal(again[name], flat[name])
    np.testing.assert_allclose(again["face/a/ws_kernel"], flat["face/a/ws_kernel"], atol=0.02)


def test_a_bundle_goes_through_and_is_small(debug_bundle, tmp_path):
    save_bundle(tmp_path / "int8", debug_bundle, jnp.dtype("int8"))
    save_bundle(tmp_path / "bf16", debug_bundle, jnp.dtype("bfloat16"))
    size = {n: (tmp_path / n / "model.safetensors").stat().st_size for n in ("int8", "bf16")}
    assert size["int8"] < 0.85 * size["bf16"]
    a, b = (flatten(x.params) for x in (debug_bundle, load_bundle(tmp_path / "int8")))
    assert set(a) == set(b)
    for name, value in a.items():
        value, found = np.asarray(value), np.asarray(b[name])
        assert found.dtype == np.float32
        room = np.abs(value).max(initial=0) / 253  # half a step of 127, or of bfloat16
        assert np.abs(found - value).max(initial=0) <= room + 1e-9, name
    for one, two in zip(debug_bundle.stats, load_bundle(tmp_path / "int8").stats, strict=True):
        np.testing.assert_array_equal(one, two)
    # What was packed once stays as it is.
    save_bundle(tmp_path / "again", load_bundle(tmp_path / "int8"), jnp.dtype("int8"))
    for x, y in zip(
        jax.tree.leaves(load_bundle(tmp_path / "int8").params),
        jax.tree.leaves(load_bundle(tmp_path / "again").params),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "broken",
    [
        {"a/kernel@scale": np.ones(4, np.float32)},
        {"a/kernel": np.ones((2, 4), np.int8), "a/kernel@scale": np.ones(3, np.float32)},
        {"a/kernel": np.ones((2, 4), np.float32), "a/kernel@scale": np.ones(4, np.float32)},
    ],
)
def test_scales_that_fit_no_kernel_are_refused(broken):
    with pytest.raises(UserError, match="a/kernel@scale fits no kernel"):
        int8.unpack(broken, "file")
