"""Optimiser and averages against torch; accumulation and remat against the plain step."""

import collections
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from checks import one_step, relative_error
from toys import ToyBatch, toy_init, toy_loss, toy_task

from vasa_jax.config import TrainConfig, get_config
from vasa_jax.errors import UserError
from vasa_jax.training.mesh import single_device
from vasa_jax.training.motion_trainer import motion_trainer
from vasa_jax.training.pose_trainer import pose_struct, pose_trainer
from vasa_jax.training.state import accumulate, averaged, learning_rate, make_optimizer, remat

TRAIN = TrainConfig(steps=50, learning_rate=2e-2, final_learning_rate=1e-4, clip=0.5)


@pytest.mark.parametrize("flat", [False, True])
def test_optimizer_is_torch_adamw_with_clipping_and_cosine(flat):
    rng = np.random.default_rng(0)
    shapes = {"a": {"kernel": (4, 5), "bias": (5,)}, "norm": {"scale": (5,)}}
    params = jax.tree.map(
        lambda s: rng.normal(size=s).astype(np.float32), shapes, is_leaf=lambda x: type(x) is tuple
    )
    tensors = jax.tree.map(lambda x: torch.nn.Parameter(torch.tensor(x)), params)
    plain = [tensors["a"]["bias"], tensors["norm"]["scale"]]
    groups = [
        {"params": [tensors["a"]["kernel"]], "weight_decay": 1e-2},
        {"params": plain, "weight_decay": 0.0},
    ]
    theirs = torch.optim.AdamW(groups, lr=2e-2, betas=(0.5, 0.999), eps=1e-8)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 50, eta_min=1e-4)
    ours = make_optimizer(replace(TRAIN, flat=flat))
    state = ours.init(params)
    for _ in range(10):
        grads = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), params)
        updates, state = ours.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        for tensor, grad in zip(jax.tree.leaves(tensors), jax.tree.leaves(grads), strict=True):
            tensor.grad = torch.tensor(grad)
        torch.nn.utils.clip_grad_norm_(jax.tree.leaves(tensors), 0.5)
        theirs.step()
        cosine.step()
    for x, tensor in zip(jax.tree.leaves(params), jax.tree.leaves(tensors), strict=True):
        np.testing.assert_allclose(x, tensor.detach().numpy(), atol=2e-6)


def test_warmup_then_constant():
    rate = learning_rate(replace(TRAIN, warmup=4, schedule="constant"))
    # No step is lost to a rate of 0, and none of the four has the full rate already.
    want = [4e-3, 8e-3, 16e-3, 2e-2, 2e-2]
    np.testing.assert_allclose([rate(i) for i in (0, 1, 3, 4, 40)], want, rtol=1e-6)


@pytest.mark.parametrize("flat", [False, True])
def test_frozen_parameters_never_move(flat):
    params = {"pose": {"kernel": jnp.ones((2, 2))}, "dyn": {"kernel": jnp.ones((2, 2))}}
    optimizer = make_optimizer(replace(TRAIN, flat=flat), frozen="^pose/")
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert not np.any(updates["pose"]["kernel"])
    assert np.all(updates["dyn"]["kernel"])


def test_one_vector_of_parameters_is_not_split():
    with pytest.raises(UserError, match="flat keeps parameters as one vector"):
        get_config("debug", ["train_face.flat=true", "mesh.fsdp=2"])


def test_one_vector_makes_the_same_step_with_the_same_norms():
    steps = []
    for flat in (False, True):
        state, metrics = one_step(toy_task({"flat": flat, "clip": 0.5, "batch": 8}), 1)[2:]
        steps.append((state.params, state.ema, metrics))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)  # noqa: E731
    jax.tree.map(close, *steps)


def test_a_step_can_be_given_its_rate():
    params = {"kernel": jnp.ones((2, 2))}
    half, whole = (
        make_optimizer(replace(TRAIN, clip=0.0), rate=jnp.float32(rate)) for rate in (0.5, 1.0)
    )
    a, b = (o.update(params, o.init(params), params)[0]["kernel"] for o in (half, whole))
    np.testing.assert_allclose(2 * a, b, rtol=1e-6)


def test_average_is_torchs_with_the_rising_decay():
    module = torch.nn.Linear(3, 2)

    def rise(old, new, count):
        decay = min(0.8, (1 + float(count)) / (10 + float(count)))
        return decay * old + (1 - decay) * new

    theirs = torch.optim.swa_utils.AveragedModel(module, avg_fn=rise)
    theirs.update_parameters(module)  # torch's first call copies
    ema = {"w": module.weight.detach().numpy().copy()}
    for step in range(1, 40):
        with torch.no_grad():
            module.weight.copy_(torch.randn(2, 3))
        theirs.update_parameters(module)
        params = {"w": module.weight.detach().numpy()}
        ema = averaged(ema, params, jnp.asarray(step), 0.8)
    np.testing.assert_allclose(ema["w"], theirs.module.weight.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("devices", [1, 2])
def test_accumulated_equals_whole_batch(devices):
    sgd = optax.sgd(1.0)
    before, _, whole, metrics = one_step(toy_task(optimizer=sgd), devices)
    task = toy_task({"accumulate": 4}, optimizer=sgd)
    _, compiled, split, metrics4 = one_step(task, devices)
    change, change4 = (jax.tree.map(np.subtract, x.params, before.params) for x in (whole, split))
    assert relative_error(change4, change) < 1e-5
    np.testing.assert_allclose(metrics4["loss"], metrics["loss"], rtol=1e-6)
    assert "while" in compiled.as_text()  # it is a loop, or nothing was accumulated


def test_accumulate_sums_over_every_example():
    batch = jnp.arange(12.0).reshape(6, 2)
    got = accumulate(lambda part: {"x": part.sum(0)}, batch, 3, single_device())
    np.testing.assert_allclose(got["x"], batch.sum(0))


def primitives(jaxpr, found=None):
    found = collections.Counter() if found is None else found
    for equation in jaxpr.eqns:
        found[equation.primitive.name] += 1
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                primitives(inner, found)
    return found


def test_remat_gives_equal_gradients_and_computes_again():
    params = toy_init(jax.random.key(0), optax.sgd(1.0)).params
    batch = ToyBatch(jnp.ones((2, 8, 8, 3)), jnp.ones((2, 3)))

    def gradient(policy):
        return jax.grad(lambda p: remat(toy_loss, policy)(p, batch)[0])

    plain = jax.jit(gradient("none"))(params)
    counts = {}
    for policy in ("none", "full", "dots"):
        got = jax.jit(gradient(policy))(params)
        assert relative_error(got, plain) < 1e-6
        counts[policy] = primitives(jax.make_jaxpr(gradient(policy))(params).jaxpr)
    # That nothing is computed again would make the comparison empty.
    assert counts["full"]["conv_general_dilated"] > counts["none"]["conv_general_dilated"]
    assert counts["dots"]["conv_general_dilated"] == counts["none"]["conv_general_dilated"]
    assert counts["dots"]["tanh"] > counts["none"]["tanh"]


def test_unknown_remat_policy():
    with pytest.raises(UserError, match="remat='some' is not one of none, full, dots"):
        replace(TRAIN, remat="some")


def stages():
    """A task of each stage, with a warmup and a fast average."""
    sizes = [f"face.{n}=32" for n in ("image_size", "identity_image_size", "motion_image_size")]
    train = [f"train_{s}.{k}" for s in ("pose", "motion") for k in ("warmup=3", "ema=0.9")]
    small = ["motion.layers=1", "audio.mel_blocks=1"]
    config = get_config("debug", [*sizes, *train, *small])
    return {"pose": pose_trainer(config), "motion": motion_trainer(config)}


@pytest.mark.parametrize("count", [2, 4])
def test_label_tasks_accumulate_to_the_whole_batch(count):
    def task(count):
        config = get_config("debug", [f"train_pose.accumulate={count}"])
        return pose_trainer(config, pose_struct(config, flags=True), optax.sgd(1.0))

    def some(batch):
        return batch._replace(present=np.float32([1, 0, 1, 1, 1, 0, 0, 0]))

    before, _, whole, metrics = one_step(task(1), 1, change=some)
    _, _, split, metrics2 = one_step(task(count), 1, change=some)
    change, change2 = (jax.tree.map(np.subtract, x.params, before.params) for x in (whole, split))
    assert relative_error(change2, change) < 1e-5
    np.testing.assert_allclose(metrics2["pose"], metrics["pose"], rtol=1e-6)


@pytest.mark.parametrize("name", ["pose", "motion"])
def test_every_stage_counts_its_steps_alike(name):
    before, _, after, metrics = one_step(stages()[name], 1)
    assert metrics["learning_rate"] == pytest.approx(stages()[name].train.learning_rate / 4)
    want = jax.tree.map(lambda e, p: e + 9 / 11 * (p - e), before.ema, after.params)
    assert relative_error(after.ema, want) < 1e-6
    assert relative_error(after.params, before.params) > 0
    assert int(after.step) == 1
