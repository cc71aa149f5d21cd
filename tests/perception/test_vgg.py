"""VGG against torch modules laid out as torchvision publishes them; LPIPS against its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests import needs
from vasa_jax import zoo
from vasa_jax.errors import UserError
from vasa_jax.params import flatten, load_safetensors, unflatten
from vasa_jax.perception import lpips
from vasa_jax.perception.convert import convert
from vasa_jax.perception.vgg import (
    FIRST_RELUS,
    VGG,
    VGG16_BLOCKS,
    VGG19_BLOCKS,
    params_from_torchvision,
    used,
)

# torchvision's configurations "D" (VGG-16) and "E" (VGG-19).
CFG = {
    VGG16_BLOCKS: [
        64,
        64,
        "M",
        128,
        128,
        "M",
        256,
        256,
        256,
        "M",
        512,
        512,
        512,
        "M",
        512,
        512,
        512,
        "M",
    ],
    VGG19_BLOCKS: [
        64,
        64,
        "M",
        128,
        128,
        "M",
        256,
        256,
        256,
        256,
        "M",
        512,
        512,
        512,
        512,
        "M",
        512,
        512,
        512,
        512,
        "M",
    ],
}
# Indices in `features` after which relu1_1 … relu5_1 stand (FOMM: 1, 6, 11, 20, 29 for VGG-19).
TAP_INDEX = {VGG16_BLOCKS: (1, 6, 11, 18, 25), VGG19_BLOCKS: (1, 6, 11, 20, 29)}
LPIPS_INDEX = (3, 8, 15, 22, 29)
LPIPS_MAX = (1.2828161716, 0.4756802320, 0.5065464973, 0.5872805119, 0.4584371448)


def torch_vgg(blocks, divide=1):
    torch.manual_seed(0)
    layers, c = [], 3
    for v in CFG[blocks]:
        if v == "M":
            layers.append(torch.nn.MaxPool2d(2, 2))
        else:
            layers += [torch.nn.Conv2d(c, v // divide, 3, padding=1), torch.nn.ReLU()]
            torch.nn.init.kaiming_normal_(layers[-2].weight)
            c = v // divide
    return torch.nn.Sequential(*layers)


def state_of(net):
    return {f"features.{k}": v.numpy() for k, v in net.state_dict().items()}


def torch_taps(net, images, indices):
    x = torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x - mean[:, None, None]) / std[:, None, None]
    out = []
    with torch.no_grad():
        for i, layer in enumerate(net):
            x = layer(x)
            if i in indices:
                out.append(x)
    return out


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("blocks", [VGG16_BLOCKS, VGG19_BLOCKS])
def test_taps_equal_torch(blocks, images):
    net = torch_vgg(blocks)
    params = used(params_from_torchvision(state_of(net), blocks), FIRST_RELUS, blocks)
    got = jax.jit(VGG(blocks).apply)({"params": params}, images)
    want = torch_taps(net, images, TAP_INDEX[blocks])
    assert len(got) == len(want) == 5
    for a, b in zip(got, want, strict=True):
        b = b.permute(0, 2, 3, 1).numpy()
        assert a.shape == b.shape
        assert b.max() > 0.1
        assert np.abs(a - b).max() < 1e-4


def test_full_size_of_vgg19():
    state = state_of(torch_vgg(VGG19_BLOCKS))
    params = params_from_torchvision(state, VGG19_BLOCKS)
    assert sum(x.size for x in jax.tree.leaves(params)) == 20_024_384


def test_converter_reads_torch_files_and_names_foreign_ones(tmp_path):
    net = torch_vgg(VGG16_BLOCKS)
    torch.save({f"features.{k}": v for k, v in net.state_dict().items()}, tmp_path / "vgg.pth")
    out = convert("vgg16", tmp_path / "vgg.pth", tmp_path / "vgg.safetensors")
    params = unflatten(load_safetensors(out))
    kernel = net[28].weight.detach().numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(params["conv5_3"]["kernel"], kernel)
    with pytest.raises(UserError, match=r"features\.16"):
        convert("vgg19", tmp_path / "vgg.pth", tmp_path / "no.safetensors")
    torch.save(net, tmp_path / "module.pth")
    with pytest.raises(UserError, match="plain tensors"):
        convert("vgg16", tmp_path / "module.pth", tmp_path / "no.safetensors")
    assert not (tmp_path / "no.safetensors").exists()


def test_unknown_tap_is_named():
    with pytest.raises(UserError, match="relu3_9"):
        VGG(VGG16_BLOCKS, ("relu3_9",), widths=(2,) * 5).init(
            jax.random.key(0), jnp.zeros((1, 16, 16, 3))
        )


def torch_lpips(net, lins, a, b):
    """lpips 0.1.4 with normalize=True: unit-length channels, squared difference, 1x1, mean."""
    total = 0
    for x, y, w in zip(
        torch_taps(net, a, LPIPS_INDEX), torch_taps(net, b, LPIPS_INDEX), lins, strict=True
    ):
        x = x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)
        y = y / (y.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)
        d = torch.nn.functional.conv2d((x - y) ** 2, torch.tensor(w)[None, :, None, None])
        total = total + d.mean((1, 2, 3))
    return total.numpy()


def test_lpips_equals_the_published_formula(images):
    net = torch_vgg(VGG16_BLOCKS)
    rng = np.random.default_rng(1)
    lins = [rng.uniform(size=c).astype(np.float32) for c in (64, 128, 256, 512, 512)]
    params = {"vgg": params_from_torchvision(state_of(net), VGG16_BLOCKS)}
    params |= {f"lin{i}": w for i, w in enumerate(lins)}
    distance = jax.jit(lpips.LPIPS().apply)
    got = distance({"params": params}, images, images[::-1])
    want = torch_lpips(net, lins, images, images[::-1].copy())
    np.testing.assert_allclose(got, want, rtol=1e-4)
    assert got[0] > 0.1
    assert np.abs(distance({"params": params}, images, images)).max() < 1e-12


def test_lpips_gradient_is_finite_where_features_vanish():
    model = lpips.LPIPS(widths=(4, 4, 4, 4, 4))
    black = jnp.zeros((1, 16, 16, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), black, black)
    params = jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)
    grad = jax.jit(jax.grad(lambda x: model.apply(params, x, black).sum()))(black)
    assert jnp.isfinite(grad).all()


@needs.weights("vgg16-lpips")
def test_shipped_weights_load_and_order_distances():
    import skimage.data
    from scipy.ndimage import gaussian_filter

    params = lpips.load(zoo.cached_path("vgg16-lpips"))
    model = lpips.LPIPS()
    shapes = jax.eval_shape(model.init, jax.random.key(0), *[jnp.zeros((1, 16, 16, 3))] * 2)
    expected = {k: v.shape for k, v in flatten(shapes["params"]).items()}
    assert expected == {k: v.shape for k, v in flatten(params).items()}
    assert all((params[f"lin{i}"] >= 0).all() for i in range(5))
    face = skimage.data.astronaut()[60:188, 160:288].astype(np.float32)[None] / 255
    blurred = [gaussian_filter(face, (0, s, s, 0)) for s in (1.0, 2.0, 4.0)]
    distance = jax.jit(model.apply)
    values = [float(distance({"params": params}, face, x)[0]) for x in blurred]
    assert 0 < values[0] < values[1] < values[2]
    # The heads were compared once with lpips 0.1.4's own vgg.pth: equal to the last bit.
    np.testing.assert_allclose([params[f"lin{i}"].max() for i in range(5)], LPIPS_MAX, rtol=1e-6)
