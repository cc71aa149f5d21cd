"""The patch discriminator and its losses against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vasa_jax.face import discriminator as d

RNG = np.random.default_rng(0)


def images(*shape):
    return jnp.asarray(RNG.uniform(size=shape), jnp.float32)


def test_spectral_conv_equals_torch():
    x = images(2, 9, 9, 5)
    module = d.SpectralConv(7, 4, 2, 1)
    variables = jax.jit(module.init)(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]
    conv = torch.nn.Conv2d(5, 7, 4, 2, 1)
    conv.weight.data = torch.tensor(np.array(kernel)).permute(3, 2, 0, 1).contiguous()
    conv.bias.data.zero_()
    sn = torch.nn.utils.spectral_norm(conv).train()
    sn.weight_u.data = torch.tensor(np.array(variables["spectral"]["vectors"]["u"]))
    xt = torch.tensor(np.array(x)).permute(0, 3, 1, 2)
    update = jax.jit(lambda v, x: module.apply(v, x, mutable=["spectral"]))
    # Another kernel with the old vectors: the iteration has work to do. Two steps, each compared.
    variables = {**variables, "params": {**variables["params"], "kernel": kernel[::-1] * 3}}
    sn.weight_orig.data = torch.tensor(np.array(kernel[::-1] * 3)).permute(3, 2, 0, 1).contiguous()
    for _ in range(2):
        got, state = update(variables, x)
        variables = {**variables, **state}
        want = sn(xt).permute(0, 2, 3, 1).detach()
        np.testing.assert_allclose(got, want, atol=1e-5)
        np.testing.assert_allclose(state["spectral"]["vectors"]["u"], sn.weight_u, atol=1e-5)
    # Not mutable: nothing changes, as in torch's eval mode.
    want = sn.eval()(xt).permute(0, 2, 3, 1).detach()
    np.testing.assert_allclose(jax.jit(module.apply)(variables, x), want, atol=1e-5)


def test_spectral_gradient_equals_torch():
    x = images(2, 6, 6, 3)
    module = d.SpectralConv(4, 3, 1, 1)
    variables = jax.jit(module.init)(jax.random.key(1), x)
    conv = torch.nn.Conv2d(3, 4, 3, 1, 1)
    kernel = np.array(variables["params"]["kernel"])
    conv.weight.data = torch.tensor(kernel).permute(3, 2, 0, 1).contiguous()
    conv.bias.data.zero_()
    sn = torch.nn.utils.spectral_norm(conv).train()
    sn.weight_u.data = torch.tensor(np.array(variables["spectral"]["vectors"]["u"]))
    sn(torch.tensor(np.array(x)).permute(0, 3, 1, 2)).square().sum().backward()

    def loss(params):
        y, _ = module.apply({**variables, "params": params}, x, mutable=["spectral"])
        return jnp.sum(jnp.square(y))

    grad = jax.jit(jax.grad(loss))(variables["params"])["kernel"]
    # torch flattens (in, h, w), we (h, w, in): the singular value is the same.
    want = sn.weight_orig.grad.permute(2, 3, 1, 0)
    np.testing.assert_allclose(grad, want, atol=2e-4 * float(want.abs().max()))


def test_instance_norm_equals_torch():
    x = images(2, 6, 5, 3) * 4 + 1
    scale, bias = jnp.asarray([1.0, 2.0, 0.5]), jnp.asarray([0.0, -1.0, 3.0])
    got = d.InstanceNorm().apply({"params": {"scale": scale, "bias": bias}}, x)
    want = F.instance_norm(
        torch.tensor(np.array(x)).permute(0, 3, 1, 2),
        weight=torch.tensor(np.array(scale)),
        bias=torch.tensor(np.array(bias)),
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(got, want, atol=1e-5)


def judgements(*scores):
    return tuple(d.DiscriminatorOutput(jnp.asarray(s, jnp.float32), ()) for s in scores)


def test_hinge_losses_equal_torch_and_pull_apart():
    real = [RNG.normal(size=(2, 3, 3, 1)) * 2, RNG.normal(size=(2, 2, 2, 1)) * 2]
    fake = [RNG.normal(size=(2, 3, 3, 1)) * 2, RNG.normal(size=(2, 2, 2, 1)) * 2]
    want = np.mean(
        [
            # hinge_embedding_loss is max(0, margin - x) for targets of -1
            F.hinge_embedding_loss(torch.tensor(r), -torch.ones(r.shape), margin=1.0)
            + F.hinge_embedding_loss(torch.tensor(-f), -torch.ones(f.shape), margin=1.0)
            for r, f in zip(real, fake, strict=True)
        ]
    )
    got = d.discriminator_loss(judgements(*real), judgements(*fake))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    score = jnp.zeros((1, 2, 2, 1))
    to_d = jax.grad(lambda s: d.discriminator_loss(judgements(score), judgements(s)))(score)
    to_real = jax.grad(lambda s: d.discriminator_loss(judgements(s), judgements(score)))(score)
    to_g = jax.grad(lambda s: d.generator_loss(judgements(s)))(score)
    assert (to_d > 0).all()
    assert (to_real < 0).all()
    np.testing.assert_allclose(to_g, -to_d)
    # A discriminator that is sure enough of a real image stops learning from it.
    sure = jax.grad(lambda s: d.discriminator_loss(judgements(s), judgements(score)))(score + 2)
    assert (sure == 0).all()


@pytest.fixture(scope="module")
def judge():
    model = d.Discriminator(2, (4, 8, 8, 8))
    x = images(2, 64, 64, 3)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    return model, variables, jax.jit(lambda x: model.apply(variables, x))


def test_two_scales_have_their_shapes(judge):
    out = judge[2](images(2, 64, 64, 3))
    assert [o.score.shape for o in out] == [(2, 7, 7, 1), (2, 3, 3, 1)]
    assert [f.shape[1] for f in out[0].features] == [32, 16, 8, 7]
    full = jax.eval_shape(d.Discriminator().init, jax.random.key(0), jnp.zeros((1, 256, 256, 3)))
    assert full["params"]["scale1"]["conv3"]["kernel"].shape == (4, 4, 256, 512)


def test_feature_matching(judge):
    _, _, apply = judge
    a, b = images(2, 64, 64, 3), images(2, 64, 64, 3)
    assert float(d.feature_matching(apply(a), apply(a))) == 0
    assert float(d.feature_matching(apply(a), apply(b))) > 0.01
    to_real, to_fake = jax.jit(
        jax.grad(lambda x, y: d.feature_matching(apply(x), apply(y)), (0, 1))
    )(a, b)
    assert jnp.abs(to_real).max() == 0
    assert jnp.abs(to_fake).max() > 0


def test_training_the_discriminator_separates(judge):
    model, variables, _ = judge
    real, fake = images(2, 64, 64, 3), images(2, 64, 64, 3) * 0.5

    @jax.jit
    def step(params, state):
        def loss(params):
            r, new = model.apply({"params": params, **state}, real, mutable=["spectral"])
            f, new = model.apply({"params": params, **new}, fake, mutable=["spectral"])
            return d.discriminator_loss(r, f), new

        (value, new), grad = jax.value_and_grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grad), new, value

    params, state = variables["params"], {"spectral": variables["spectral"]}
    values = []
    for _ in range(15):
        params, state, value = step(params, state)
        values.append(float(value))
    assert values[-1] < 0.9 * values[0]
