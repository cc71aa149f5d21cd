"""Convolutions, norms, residual blocks and resizing against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vasa_jax.face.conv import (
    Conv,
    LayerOptions,
    conv2d,
    conv2d_up2,
    conv3d,
    fold_weight_standardisation,
    standardise_kernel,
)
from vasa_jax.face.layers import AdaGroupNorm, GroupNorm, ResBlock
from vasa_jax.face.resize import adaptive_avg_pool, avg_pool2, linear_up2, nearest_up2

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def to_torch(x):
    """Channels-last array -> channels-first tensor."""
    return torch.tensor(np.moveaxis(np.asarray(x), -1, 1))


def from_torch(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


def close(ours, theirs, tolerance=1e-5):
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize("method", ["slices", "native", None])
@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("size", [3, 5])
def test_conv3d_equals_torch(method, depth, size):
    x, k = normal(2, depth, 6, 7, 5), normal(size, size, size, 5, 4)
    weight = torch.tensor(k.transpose(4, 3, 0, 1, 2))
    theirs = from_torch(F.conv3d(to_torch(x), weight, padding=size // 2))
    close(jax.jit(conv3d, static_argnums=2)(x, k, method), theirs)


def test_conv3d_gradients_agree_between_methods():
    x, k, g = normal(2, 4, 5, 6, 3), normal(3, 3, 3, 3, 4), normal(2, 4, 5, 6, 4)
    grads = [
        jax.grad(lambda x, k, m=m: jnp.sum(conv3d(x, k, m) * g), (0, 1))(x, k)
        for m in ("slices", "native")
    ]
    for a, b in zip(*grads, strict=True):
        close(a, np.asarray(b))


def test_conv3d_rejects_an_unknown_method():
    with pytest.raises(ValueError, match="fast"):
        conv3d(jnp.ones((1, 1, 3, 3, 1)), jnp.ones((3, 3, 3, 1, 1)), "fast")


@pytest.mark.parametrize("space", [(8, 10), (5, 4), (2, 2), (1, 3), (1, 1)])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (7, 2), (1, 2)])
def test_conv2d_equals_torch(size, stride, space):
    x, k = normal(2, *space, 5), normal(size, size, 5, 4)
    tx = to_torch(x).requires_grad_()
    tk = torch.tensor(k.transpose(3, 2, 0, 1)).requires_grad_()
    theirs = F.conv2d(tx, tk, stride=stride, padding=size // 2)
    ours, pull = jax.vjp(lambda x, k: conv2d(x, k, stride), jnp.asarray(x), jnp.asarray(k))
    close(ours, from_torch(theirs))
    g = normal(*ours.shape)
    theirs.backward(to_torch(g))
    d_x, d_k = pull(g)
    close(d_x, from_torch(tx.grad))
    close(d_k, tk.grad.numpy().transpose(2, 3, 1, 0))


def test_conv2d_is_a_product_on_maps_no_larger_than_the_kernel():
    """XLA's own is many times slower there, on a CPU."""

    def program(side, stride):
        x, k = jnp.ones((1, side, side, 5)), jnp.ones((3, 3, 5, 4))
        return str(jax.make_jaxpr(lambda x, k: conv2d(x, k, stride))(x, k))

    for side, stride in ((2, 1), (1, 1), (4, 2)):
        assert "conv_general_dilated" not in program(side, stride)
    for side, stride in ((3, 1), (6, 2), (16, 1)):
        assert "conv_general_dilated" in program(side, stride)


def test_conv_after_upsampling_equals_torch():
    x, k = normal(2, 4, 5, 3), normal(3, 3, 3, 6)
    up = F.interpolate(to_torch(x), scale_factor=2, mode="nearest")
    theirs = from_torch(F.conv2d(up, torch.tensor(k.transpose(3, 2, 0, 1)), padding=1))
    close(jax.jit(conv2d_up2)(x, k), theirs)
    close(conv2d(nearest_up2(jnp.asarray(x)), jnp.asarray(k)), theirs)


def test_gradients_of_conv_after_upsampling_equal_torch():
    x, k, g = normal(2, 4, 5, 3), normal(3, 3, 3, 6), normal(2, 8, 10, 6)
    tx, tk = to_torch(x).requires_grad_(), torch.tensor(k.transpose(3, 2, 0, 1)).requires_grad_()
    F.conv2d(F.interpolate(tx, scale_factor=2, mode="nearest"), tk, padding=1).backward(to_torch(g))
    ours = jax.jit(jax.grad(lambda x, k: jnp.sum(conv2d_up2(x, k) * g), (0, 1)))(x, k)
    close(ours[0], from_torch(tx.grad))
    close(ours[1], tk.grad.numpy().transpose(2, 3, 1, 0))


@pytest.mark.parametrize("groups", [1, 4, 8])
@pytest.mark.parametrize("space", [(6, 7), (3, 4, 5)])
def test_group_norm_equals_torch(groups, space):
    x = jnp.asarray(normal(2, *space, 8) * 3 + 2)
    gamma, beta = normal(8), normal(8)
    theirs = F.group_norm(to_torch(x), groups, torch.tensor(gamma), torch.tensor(beta))
    ours = GroupNorm(LayerOptions(groups)).apply({"params": {"scale": gamma, "bias": beta}}, x)
    close(ours, from_torch(theirs))


def test_group_norm_takes_the_common_divisor():
    x = jnp.asarray(normal(1, 4, 4, 12))
    params = {"params": {"scale": jnp.ones(12), "bias": jnp.zeros(12)}}
    theirs = from_torch(F.group_norm(to_torch(x), 4))
    close(GroupNorm(LayerOptions(32)).apply(params, x), theirs)


def test_group_norm_statistics_are_float32_under_bfloat16():
    x = jnp.asarray(normal(1, 32, 32, 4) + 8.0, jnp.bfloat16)
    params = {"params": {"scale": jnp.ones(4), "bias": jnp.zeros(4)}}
    out = GroupNorm(LayerOptions(2, jnp.bfloat16)).apply(params, x)
    assert out.dtype == jnp.bfloat16
    theirs = from_torch(F.group_norm(to_torch(np.asarray(x, np.float32)), 2))
    np.testing.assert_allclose(np.asarray(out, np.float32), theirs, atol=0.03)


def test_adaptive_group_norm_is_alive_and_nearly_neutral():
    x, embed = jnp.asarray(normal(4, 5, 6, 6, 16)), jnp.asarray(normal(4, 4, 4, 64))
    module = AdaGroupNorm(LayerOptions(4))
    params = module.init(jax.random.key(0), x, embed)
    out = module.apply(params, x, embed)
    # The formula, with numpy.
    u, v = (np.asarray(params["params"][k]) for k in "uv")
    modulation = np.einsum("ce,bpe,pk->bck", u, np.asarray(embed).reshape(4, 16, 64), v)
    plain = from_torch(F.group_norm(to_torch(x), 4))
    spread = (slice(None), None, None, None)
    close(out, plain * (1 + modulation[..., 0])[spread] + modulation[..., 1][spread])
    assert 0.1 < modulation.std() < 0.5
    assert modulation.shape == (4, 16, 2)
    grad = jax.grad(lambda e: jnp.sum(module.apply(params, x, e) ** 2))(embed)
    assert float(jnp.abs(grad).min()) > 0


def test_standardised_kernel_equals_torch():
    k = normal(3, 3, 5, 7) * 0.3 + 1
    w = torch.tensor(k.reshape(45, 7))
    variance, mean = torch.var_mean(w, 0, correction=0)
    theirs = ((w - mean) / torch.sqrt(variance * 45)).numpy().reshape(k.shape)
    close(standardise_kernel(jnp.asarray(k)), theirs)


@pytest.mark.parametrize("up2", [False, True])
@pytest.mark.parametrize("features", [8, 12])
def test_residual_block_2d_equals_torch(features, up2):
    x = jnp.asarray(normal(2, 6, 6, 8))
    block = ResBlock(features, up2=up2, options=LayerOptions(4))
    params = block.init(jax.random.key(1), x)["params"]
    params = jax.tree.map(lambda p: p + 0.1 * normal(*p.shape), params)
    close(block.apply({"params": params}, x), from_torch(torch_block(params, x, F.conv2d, up2)))


@pytest.mark.parametrize("features", [8, 12])
def test_residual_block_3d_equals_torch(features):
    x = jnp.asarray(normal(2, 3, 6, 6, 8))
    block = ResBlock(features, dims=3, options=LayerOptions(4))
    params = block.init(jax.random.key(1), x)["params"]
    params = jax.tree.map(lambda p: p + 0.1 * normal(*p.shape), params)
    close(block.apply({"params": params}, x), from_torch(torch_block(params, x, F.conv3d)))


def torch_block(params, x, conv, up2=False):
    """The published order of operations, in torch's channels-first layout."""

    def ws_conv(y, p):
        k = torch.tensor(np.asarray(p["ws_kernel"]))
        k = k.permute(k.ndim - 1, k.ndim - 2, *range(k.ndim - 2))
        variance, mean = torch.var_mean(k.flatten(1), 1, correction=0)
        shape = (-1,) + (1,) * (k.ndim - 1)
        k = (k - mean.view(shape)) / torch.sqrt(variance * k[0].numel()).view(shape)
        return conv(y, k, torch.tensor(np.asarray(p["bias"])), padding=1)

    def norm(y, p):
        scale, bias = (torch.tensor(np.asarray(p[k])) for k in ("scale", "bias"))
        return F.relu(F.group_norm(y, 4, scale, bias))

    x = to_torch(x)
    if up2:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    y = ws_conv(norm(x, params["norm1"]), params["conv1"])
    y = ws_conv(norm(y, params["norm2"]), params["conv2"])
    return y + (ws_conv(x, params["skip"]) if "skip" in params else x)


def test_folded_convolution_is_equal_and_idempotent():
    x = jnp.asarray(normal(2, 6, 6, 8))
    module = Conv(5)
    params = module.init(jax.random.key(0), x)
    folded = fold_weight_standardisation(params)
    expected = np.asarray(module.apply(params, x))
    close(Conv(5, options=LayerOptions(folded=True)).apply(folded, x), expected)
    close(module.apply(folded, x), expected)
    # Standardisation does something here: the raw kernel gives another answer.
    raw = Conv(5, options=LayerOptions(folded=True)).apply(params, x)
    assert np.abs(np.asarray(raw) - expected).max() > 1e-2


@pytest.mark.parametrize("axes", [(1,), (2, 3), (1, 2, 3)])
def test_linear_upsampling_equals_torch(axes):
    x = normal(2, 3, 4, 5, 6)
    scale = tuple(2.0 if a in axes else 1.0 for a in (1, 2, 3))
    theirs = F.interpolate(to_torch(x), scale_factor=scale, mode="trilinear", align_corners=False)
    close(linear_up2(jnp.asarray(x), axes), from_torch(theirs))


def test_pooling_equals_torch():
    x = jnp.asarray(normal(2, 6, 10, 3))
    close(avg_pool2(x, (1, 2)), from_torch(F.avg_pool2d(to_torch(x), 2)))
    for size in (1, 3, 4, 8):
        close(adaptive_avg_pool(x, size), from_torch(F.adaptive_avg_pool2d(to_torch(x), size)))
