"""Losses on codes against torch and against the formula written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vasa_jax.config.losses import ArkitLabelLoss, ContrastLoss, PoseLabelLoss
from vasa_jax.face import latent_losses as ll
from vasa_jax.typing import Pose

RNG = np.random.default_rng(0)


def codes(n=5, c=8):
    return jnp.asarray(RNG.normal(size=(n, c)), jnp.float32)


def test_cosine_equals_torch():
    a, b = codes(), codes()
    both = [torch.tensor(np.array(x)) for x in (a, b)]
    want = torch.nn.functional.cosine_similarity(*both)
    np.testing.assert_allclose(ll.cosine(a, b), want, atol=1e-6)
    grad = jax.grad(lambda a: ll.cosine(a, b).sum())(jnp.zeros_like(a))
    assert jnp.isfinite(grad).all()


def test_contrast_equals_the_published_formula():
    same, cross, driver, other = (codes() for _ in range(4))
    present = np.array([1, 1, 0, 1, 0], np.float32)

    def d(x, y):
        return 5 * (torch.nn.functional.cosine_similarity(x, y) - 0.2)

    s, c, z, o = (torch.tensor(np.array(x)).double() for x in (same, cross, driver, other))
    negatives = d(s, o).exp() + d(c, o).exp()
    rows = -sum((p.exp() / (p.exp() + negatives)).log() for p in (d(s, z), d(c, z)))
    want = (rows * torch.tensor(present)).sum() / present.sum()
    got = ll.contrast_loss(ContrastLoss(), same, cross, driver, other, jnp.asarray(present)).value
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_contrast_pulls_the_motion_encoder_the_right_way():
    """Every code gets a gradient; a step down it raises cos(P) and lowers cos(N)."""
    x = [codes() for _ in range(4)]
    ones = jnp.ones(5)

    def loss(x):
        return ll.contrast_loss(ContrastLoss(), *x, ones).value

    grads = jax.grad(loss)(x)
    assert all((jnp.abs(g).sum(-1) > 0).all() for g in grads)
    y = [a - 0.5 * g for a, g in zip(x, grads, strict=True)]
    assert ll.cosine(y[0], y[2]).mean() > ll.cosine(x[0], x[2]).mean()
    assert ll.cosine(y[0], y[3]).mean() < ll.cosine(x[0], x[3]).mean()
    absent = jax.grad(lambda x: ll.contrast_loss(ContrastLoss(), *x, jnp.zeros(5)).value)(x)
    assert all(jnp.abs(g).max() == 0 for g in absent)


def test_identity_loss_moves_only_the_drawn_face():
    source, drawn = codes(), codes()
    present = jnp.asarray([1.0, 0.0, 1.0, 1.0, 1.0])
    to_source, to_drawn = jax.grad(lambda *x: ll.identity_loss(*x).value, (0, 1))(
        source, drawn, present
    )
    assert jnp.abs(to_source).max() == 0
    assert (jnp.abs(to_drawn).sum(-1) > 0).tolist() == [True, False, True, True, True]
    want = torch.nn.CosineEmbeddingLoss()(
        torch.tensor(np.array(source)), torch.tensor(np.array(drawn)), torch.ones(5)
    )
    np.testing.assert_allclose(ll.identity_loss(source, drawn, jnp.ones(5)).value, want, rtol=1e-5)
    assert abs(float(ll.identity_loss(source, source * 3, present).value)) < 1e-6


def test_angles_are_compared_on_the_circle():
    a = jnp.asarray([3.1, -3.1, 0.0, 6.0])
    b = jnp.asarray([-3.1, 3.1, 0.5, 0.0])
    want = np.abs(np.angle(np.exp(1j * (np.asarray(a, float) - np.asarray(b, float)))))
    np.testing.assert_allclose(ll.circle_distance(a, b), want, atol=1e-6)
    assert jnp.isfinite(jax.grad(lambda a: ll.circle_distance(a, a * 1.0).sum())(a)).all()


def test_pose_labels_count_only_where_present():
    def pose():
        return Pose(codes(4, 3), codes(4, 3), codes(4, 1))

    prediction, label = pose(), pose()
    label = label._replace(rotation=prediction.rotation + 2 * jnp.pi)
    present = jnp.asarray([1.0, 0.0, 1.0, 0.0])
    got = ll.pose_loss(PoseLabelLoss(), prediction, label, present).value
    rows = 2 * np.abs(prediction.translation - label.translation).mean(-1)
    rows += 0.5 * np.abs(prediction.log_scale - label.log_scale).mean(-1)
    assert float(got) == pytest.approx((rows[0] + rows[2]) / 2, rel=1e-4)
    grad = jax.grad(lambda p: ll.pose_loss(PoseLabelLoss(), p, label, present).value)(prediction)
    assert jnp.abs(grad.translation[1::2]).max() == 0
    assert (jnp.abs(grad.translation[::2]) > 0).all()
    gaze = jax.grad(lambda *x: ll.gaze_loss(*x).value)(codes(4, 2), codes(4, 2), jnp.zeros(4))
    assert jnp.abs(gaze).max() == 0


def test_arkit_errors_count_by_their_spread():
    config = ArkitLabelLoss(floor=0.1)
    label = np.zeros((4, 52), np.float32)
    label[:, 0] = [0.0, 0.0, 0.4, 0.4]  # spread 0.2
    label[:, 1] = [0.0, 0.0, 0.1, 0.1]  # spread 0.05: the floor counts
    off = label.copy()
    off[0, 0] += 0.1
    off[1, 1] += 0.1
    spread = np.maximum(label.std(0), 0.1)
    want = (((off - label) / spread) ** 2).mean()
    got = ll.arkit_loss(config, jnp.asarray(off), jnp.asarray(label)).value
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert want == pytest.approx((0.5**2 + 1.0**2) / (4 * 52), rel=1e-5)
