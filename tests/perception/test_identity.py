"""Identity networks: ArcFace and dlib against torch modules, dlib against dlib itself."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests import needs
from vasa_jax import zoo
from vasa_jax.errors import UserError
from vasa_jax.params import flatten
from vasa_jax.perception import align, arcface, dlib_identity
from vasa_jax.perception.convert import convert
from vasa_jax.perception.identity import identity_network

GOLDEN = Path(__file__).parent / "golden" / "astronaut_dlib.json"
needs_dlib = needs.weights("dlib-face-recognition")


class Block(nn.Module):
    def __init__(self, c_in, c, stride, project):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(c_in)
        self.conv1 = nn.Conv2d(c_in, c, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.prelu = nn.PReLU(c)
        self.conv2 = nn.Conv2d(c, c, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c)
        self.downsample = None
        if project:
            self.downsample = nn.Sequential(
                nn.Conv2d(c_in, c, 1, stride, bias=False), nn.BatchNorm2d(c)
            )

    def forward(self, x):
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


class TorchIResNet(nn.Module):
    """The layer list of evaluation notes: stem, four stages, BN, Linear, BN1d."""

    def __init__(self, depths, widths=(64, 128, 256, 512)):
        super().__init__()
        c = widths[0]
        self.conv1 = nn.Conv2d(3, c, 3, 1, 1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(c), nn.PReLU(c)
        for stage, (n, w) in enumerate(zip(depths, widths, strict=True), 1):
            blocks = [Block(c if i == 0 else w, w, 2 if i == 0 else 1, i == 0) for i in range(n)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            c = w
        self.bn2 = nn.BatchNorm2d(c)
        self.fc = nn.Linear(c * 49, 512)
        self.features = nn.BatchNorm1d(512)
        self.features.weight.requires_grad = False

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
        return self.features(self.fc(torch.flatten(self.bn2(x), 1)))


def randomised(net):
    torch.manual_seed(0)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d):
            for t in (m.weight.data, m.running_var):
                t.uniform_(0.7, 1.3)
            for t in (m.bias.data, m.running_mean):
                t.normal_(std=0.1)
        if isinstance(m, nn.PReLU):
            m.weight.data.uniform_(0.1, 0.4)
    return net.eval()


def test_arcface_equals_torch(tmp_path):
    depths, widths = (1, 2, 2, 1), (8, 8, 16, 16)
    net = randomised(TorchIResNet(depths, widths))
    chips = np.random.default_rng(0).uniform(size=(2, 112, 112, 3)).astype(np.float32)
    state = {k: v.numpy() for k, v in net.state_dict().items()}
    params = arcface.params_from_torch(state, depths)
    model = arcface.IResNet(depths, widths)
    got, features = jax.jit(model.apply)({"params": params}, chips)
    with torch.no_grad():
        want = net((torch.tensor(chips).permute(0, 3, 1, 2) - 0.5) / 0.5).numpy()
    assert np.abs(got - want).max() < 1e-4
    assert [f.shape[1:] for f in features] == [(56, 56, 8), (28, 28, 8), (14, 14, 16), (7, 7, 16)]
    with pytest.raises(UserError, match="layer4"):
        arcface.params_from_torch(state | {"layer4.9.bn1.weight": np.ones(3)}, depths)
    with pytest.raises(UserError, match="missing"):
        arcface.params_from_torch(state, (2, 2, 2, 1))
    torch.save(net.state_dict(), tmp_path / "small.pth")
    with pytest.raises(UserError, match="r50"):
        convert("arcface-r50", tmp_path / "small.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize(("name", "count"), [("r50", 43_590_848), ("r100", 65_156_160)])
def test_full_arcface_has_the_published_size(name, count, tmp_path):
    depths = arcface.DEPTHS[name]
    with torch.device("meta"):
        net = TorchIResNet(depths)
    assert sum(p.numel() for p in net.parameters()) == count
    shapes = jax.eval_shape(
        arcface.IResNet(depths).init, jax.random.key(0), jnp.zeros((1, 112, 112, 3))
    )["params"]
    flat = flatten(shapes)
    assert sum(x.size for x in flat.values()) == count
    # Every torch name is read, into the shape the model expects, without 170 MB of noise.
    state = {k: np.broadcast_to(np.float32(1), v.shape) for k, v in net.state_dict().items()}
    converted = flatten(arcface.params_from_torch(state, depths))
    assert {k: v.shape for k, v in flat.items()} == {k: v.shape for k, v in converted.items()}
    assert arcface.depth_of(state) == depths


def torch_dlib(p, chips):
    """dlib's anet as its example program writes it down, in torch functions."""

    def layer(x, q, stride=1, relu=True, pad=1):
        w = torch.tensor(np.array(q["Conv_0"]["kernel"])).permute(3, 2, 0, 1)
        x = F.conv2d(x, w, torch.tensor(np.array(q["Conv_0"]["bias"])), stride, pad)
        scale, shift = (torch.tensor(np.array(q[k])) for k in ("scale", "shift"))
        x = x * scale[:, None, None] + shift[:, None, None]
        return F.relu(x) if relu else x

    def residual(x, q):
        return F.relu(layer(layer(x, q["conv1"]), q["conv2"], relu=False) + x)

    def residual_down(x, q):
        y = layer(layer(x, q["conv1"], 2, pad=0), q["conv2"], relu=False)
        x = F.avg_pool2d(x, 2)
        out = torch.zeros(
            len(x), y.shape[1], max(x.shape[2], y.shape[2]), max(x.shape[3], y.shape[3])
        )
        out[:, : x.shape[1], : x.shape[2], : x.shape[3]] += x
        out[:, :, : y.shape[2], : y.shape[3]] += y
        return F.relu(out)

    mean = torch.tensor([122.782, 117.001, 104.298])[:, None, None]
    x = (torch.tensor(chips).permute(0, 3, 1, 2) * 255 - mean) / 256
    x = F.max_pool2d(layer(x, p["conv32_down"], 2, pad=0), 3, 2)
    for name in (
        "conv32_1",
        "conv32_2",
        "conv32_3",
        "conv64_down",
        "conv64_1",
        "conv64_2",
        "conv64_3",
        "conv128_down",
        "conv128_1",
        "conv128_2",
        "conv256_down",
        "conv256_1",
        "conv256_2",
        "conv256_down_out",
    ):
        x = (residual_down if "down" in name else residual)(x, p[name])
    return (x.mean((2, 3)) @ torch.tensor(np.array(p["fc"]["kernel"]))).numpy()


@pytest.fixture(scope="module")
def random_dlib():
    model, rng = dlib_identity.DlibIdentity(), np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 150, 150, 3)))["params"]

    def draw(path, leaf):
        fan_in = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 100
        noise = rng.normal(size=leaf.shape) / np.sqrt(fan_in)
        return jnp.asarray(noise + ("scale" in jax.tree_util.keystr(path)), jnp.float32)

    params = jax.tree_util.tree_map_with_path(draw, shapes)
    return params, jax.jit(lambda p, x: model.apply({"params": p}, x))


def test_dlib_network_equals_torch(random_dlib):
    params, apply = random_dlib
    chips = np.random.default_rng(0).uniform(size=(2, 150, 150, 3)).astype(np.float32)
    got, features = apply(params, chips)
    want = torch_dlib(params, chips)
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()
    assert len(features) == 4
    assert sum(x.size for x in jax.tree.leaves(params)) == 5_614_592


def test_dlib_gradient_is_finite_on_flat_images(random_dlib):
    params, apply = random_dlib
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(apply(params, x)[0])))
    for value in (0.0, 0.5, 1.0):
        assert jnp.isfinite(gradient(jnp.full((1, 150, 150, 3), value))).all()


def golden():
    return json.loads(GOLDEN.read_text())


def test_crop_equals_dlibs_chip():
    """Rectangle, angle and sampled pixels of dlib's own chip of the astronaut."""
    import skimage.data

    g = golden()
    image = jnp.asarray(skimage.data.astronaut()[None], jnp.float32) / 255
    corners = jnp.asarray(g["corners"], jnp.float32)[None]
    matrix = np.asarray(align.chip_to_image(corners, align.DLIB_CORNERS))[0]
    left, top, right, bottom = g["chip_rect"]
    np.testing.assert_allclose(
        matrix @ [74.5, 74.5, 1], [(left + right) / 2, (top + bottom) / 2], atol=1e-3
    )
    assert abs(np.hypot(matrix[0, 0], matrix[1, 0]) * 149 - (right - left)) < 1e-3
    assert abs(np.arctan2(matrix[1, 0], matrix[0, 0]) - g["chip_angle"]) < 1e-5
    chip = align.aligned_crop(image, (corners + 0.5) / 512, align.DLIB_CORNERS)
    want = np.array(g["chip_every_20th_pixel_from_5"]) / 255
    # dlib truncates to whole grey levels.
    assert np.abs(chip[0, 5::20, 5::20] - want).max() < 1.5 / 255


@needs_dlib
def test_embedding_of_the_astronaut_equals_dlibs():
    import skimage.data

    g = golden()
    params = dlib_identity.load(zoo.cached_path("dlib-face-recognition"))
    image = jnp.asarray(skimage.data.astronaut()[None], jnp.float32) / 255
    network = identity_network("dlib", params)
    want = np.array(g["descriptor"])
    chip = align.aligned_crop(
        image, (jnp.asarray(g["corners"])[None] + 0.5) / 512, align.DLIB_CORNERS
    )
    embed = jax.jit(network.apply)
    assert np.linalg.norm(embed(chip)[0][0] - want) < 0.05  # 8-bit weights; same person: 0.6
    # The five points common to all our networks cut nearly the same chip.
    five = (jnp.asarray(g["five"], jnp.float32)[None] + 0.5) / 512
    assert np.linalg.norm(jax.jit(network)(image, five)[0][0] - want) < 0.25


def test_identity_network_is_frozen(random_dlib):
    params, _ = random_dlib
    image = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 64, 64, 3)), jnp.float32)
    points = jnp.asarray(align.ARCFACE.template, jnp.float32)[None] / 112

    def loss(params, image):
        return jnp.sum(identity_network("dlib", params)(image, points)[0])

    to_params, to_image = jax.jit(jax.grad(loss, (0, 1)))(params, image)
    assert all(jnp.abs(x).max() == 0 for x in jax.tree.leaves(to_params))
    assert jnp.abs(to_image).max() > 0
    with pytest.raises(UserError, match="nobody"):
        identity_network("nobody", params)
