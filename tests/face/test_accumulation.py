"""Every loss of stage 1 over microbatches is the loss over the batch, masks and labels uneven."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.face.toy import NETWORKS, SIZE, Toy, changed, outputs_of, variables
from vasa_jax.config import apply_overrides, get_config
from vasa_jax.config.extensions import TransferLoss
from vasa_jax.config.losses import (
    AdversarialLoss,
    ArkitLabelLoss,
    FaceLossConfig,
    GazeLabelLoss,
    PoseLabelLoss,
)
from vasa_jax.extensions.objective import objective_terms
from vasa_jax.face import forward
from vasa_jax.means import add_up, counts_of, uniform, weighted
from vasa_jax.training import face_batches as face_batch

B = 8
RNG = np.random.default_rng(3)
CONFIG = dataclasses.replace(
    FaceLossConfig(),
    adversarial=AdversarialLoss(weight=0.0, feature_matching=0.0),
    pose=PoseLabelLoss(weight=1.0),
    gaze=GazeLabelLoss(weight=1.0),
    arkit=ArkitLabelLoss(weight=1.0),
    transfer=TransferLoss(
        weight=1.0,
        motion_weighted=1.0,
        decoded=1.0,
        layer_assignment=1.0,
        flow=1.0,
        blend_masks=1.0,
    ),
)


def draws(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def uneven():
    """A batch whose examples have foregrounds, faces and labels of very different amounts."""
    config = apply_overrides(get_config("debug"), [f"face.image_size={SIZE}"])
    found = face_batch.random(config, B, seed=1)
    far = (np.arange(SIZE)[:, None] < 3 + 3 * np.arange(B)[:, None, None])[..., None]
    shape = np.broadcast_to(far, found.driver.mask.shape).astype(np.float32)
    grow = np.float32([0.3, 1.5, 0.4, 1.4, 0.5, 1.3, 0.6, 1.2])[:, None, None]
    spread = np.linspace(0.1, 2.0, B, dtype=np.float32)[:, None]
    flows = {
        f"{name}_flow": getattr(found.targets, f"{name}_flow") * (shape > np.roll(shape, 9, 1))
        for name in ("driver", "pose_only", "dyn_only")
    }
    found = changed(
        found,
        source_mask=found.source.mask * shape[::-1],
        driver_mask=found.driver.mask * shape,
        driver_points=0.5 + grow * (found.driver.points - 0.5),
        source_arkit=found.source.arkit * spread,
        driver_arkit=found.driver.arkit * spread[::-1],
        pose_present=np.float32([1, 0, 1, 1, 1, 0, 0, 0]),
        gaze_present=np.float32([0, 0, 0, 1, 0, 0, 0, 1]),
        identity=np.int32([0, 1, 2, 3, 0, 4, 2, 5]),
        **flows,
    )
    return jax.tree.map(jnp.asarray, found)


BATCH = uneven()
READ = draws(6, 52)
LAYERS, SHARES = draws(SIZE, SIZE, 3, 3), draws(SIZE, SIZE, 3)


def outputs(params, batch):
    """The toy's, with what read-outs and a composing decoder would say."""
    out = outputs_of(CONFIG, forward.bind(Toy(), {"params": params}), batch)

    def composited(made):
        strength = made.image.mean((1, 2))[:, :1, None, None]
        parts = made.parts._replace(
            layers=made.image[..., None, :] + 0.1 * LAYERS,
            blend_logits=SHARES * strength,
            flow=SHARES[..., :2] * strength,
        )
        return made._replace(parts=parts)

    source, driver = out.source_motion.dyn, out.driver_motion.dyn
    readings = {"gaze": (source[:, :2], driver[:, :2]), "arkit": (source @ READ, driver @ READ)}
    out = out._replace(decoded={name: composited(made) for name, made in out.decoded.items()})
    return out, readings


def terms(params, batch):
    return objective_terms(CONFIG, batch, *outputs(params, batch), NETWORKS)


def parts(count):
    return [jax.tree.map(lambda x, k=k: x[k::count], BATCH) for k in range(count)]


@jax.jit
def stepped(params, batch, counts):
    def loss(params):
        return add_up(terms(params, batch), counts)

    (_, values), grads = jax.value_and_grad(loss, has_aux=True)(params)
    return values, grads


def summed(trees):
    return jax.tree.map(lambda *x: sum(x), *trees)


@pytest.fixture(scope="module")
def params():
    return variables(Toy())["params"]


@pytest.fixture(scope="module")
def counts():
    """Those of the whole batch, known from the data alone: nothing is drawn."""
    silent = jax.eval_shape(outputs, variables(Toy())["params"], BATCH)
    silent = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), silent)
    return counts_of(objective_terms(CONFIG, BATCH, *silent, NETWORKS))


@pytest.mark.parametrize("count", [2, 4])
def test_microbatches_add_up_to_the_batch(count, params, counts):
    values, grads = stepped(params, BATCH, None)
    assert {
        "pixel",
        "eyes",
        "contrast",
        "cross_identity",
        "consistency",
        "pose",
        "gaze",
        "arkit",
        "pose_only",
        "moved",
        "drawn",
        "choice",
        "flow",
        "shares",
    } <= set(values)
    assert all(float(v) > 0 for v in values.values())
    found, gradients = summed([stepped(params, part, counts) for part in parts(count)])
    for name, value in values.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, err_msg=name)
    scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(grads))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * scale), gradients, grads)
    # Means of the microbatches' own means are something else, or this batch would show nothing.
    plain, _ = summed([stepped(params, part, None) for part in parts(count)])
    wrong = {n for n, v in values.items() if abs(float(plain[n]) / count / float(v) - 1) > 1e-3}
    assert wrong >= {"pixel", "contrast", "pose", "gaze", "arkit", "flow"}


def test_a_mean_of_nothing_is_nothing():
    empty = weighted(jnp.ones((3, 2)), jnp.zeros((3, 1)))
    assert float(empty.value) == 0
    whole = weighted(jnp.arange(6.0).reshape(3, 2), jnp.asarray([[1.0], [0.0], [3.0]]))
    assert float(whole.value) == pytest.approx((0 + 1 + 3 * (4 + 5)) / 8)
    assert float((2.0 * whole + uniform(jnp.asarray(5.0), 3)).value) == pytest.approx(
        2 * 28 / 8 + 5
    )
