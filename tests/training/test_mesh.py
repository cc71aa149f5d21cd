"""The layout: rules, equal results on every mesh, no gathered activation, bytes per device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from checks import gathered_shapes, one_step, prepare, relative_error, squeezed
from jax.sharding import PartitionSpec as P
from toys import toy_task

from vasa_jax.config import MeshConfig
from vasa_jax.errors import UserError
from vasa_jax.face.sampling import sample_volume
from vasa_jax.training.mesh import Layout, make_mesh, parameter_spec, single_device

MESHES = [(8, 1, 1), (2, 4, 1), (2, 2, 2)]


def mesh_dict(shape):
    return dict(zip(("data", "fsdp", "tensor"), shape, strict=True))


def test_rules():
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    spec = lambda name, *shape, **kw: parameter_spec(name, shape, mesh, 100, **kw)  # noqa: E731
    assert spec("a/conv1/ws_kernel", 3, 3, 8, 16) == P(None, None, "fsdp", "tensor")
    assert spec("mu/a/conv2/kernel", 3, 3, 8, 16) == P(None, None, "tensor", "fsdp")
    assert spec("a/conv2/kernel", 3, 3, 8, 16, stored=False) == P(None, None, "tensor")
    assert spec("blocks_0/query/kernel", 32, 64) == P("fsdp", "tensor")
    assert spec("blocks_0/attention_out/kernel", 64, 32) == P("tensor", "fsdp")
    assert spec("a/stem/kernel", 7, 7, 3, 16) == P(None, None, None, "fsdp")
    assert spec("a/stem/kernel", 7, 7, 3, 16, stored=False) == P()
    assert spec("a/norm/scale", 16) == P()  # below the floor
    assert spec("a/b/kernel", 15, 15) == P()  # nothing that 2 divides
    assert spec("count") == P()


def test_mesh_mistakes():
    with pytest.raises(UserError, match="does not fit 8 devices"):
        make_mesh(MeshConfig(fsdp=3))
    with pytest.raises(UserError, match="does not fit 8 devices"):
        make_mesh(MeshConfig(data=16))
    assert make_mesh(MeshConfig(fsdp=2)).devices.shape == (4, 2, 1)
    assert make_mesh(MeshConfig(data=2, fsdp=2)).devices.shape == (2, 2, 1)


@pytest.fixture(scope="module")
def alone():
    return one_step(toy_task(optimizer=optax.sgd(1.0)), 1)


@pytest.mark.parametrize("shape", MESHES)
def test_toy_step_is_the_same_on_every_mesh(alone, shape):
    # SGD with rate 1: the change of a parameter is its gradient. Adam would divide gradients near
    # zero by their own size, and so turn rounding into whole steps.
    before, _, after, metrics = alone
    task = toy_task(mesh=mesh_dict(shape), optimizer=optax.sgd(1.0))
    before2, compiled, after2, metrics2 = one_step(task, 8)
    jax.tree.map(np.testing.assert_array_equal, before2, before)
    change = jax.tree.map(np.subtract, after.params, before.params)
    change2 = jax.tree.map(np.subtract, after2.params, before.params)
    assert relative_error(change2, change) < 1e-5
    assert relative_error(after2.ema, after.ema) < 1e-5
    for name in metrics:
        np.testing.assert_allclose(metrics2[name], metrics[name], rtol=1e-5)
    parameters = {squeezed(x.shape) for x in jax.tree.leaves(before.params)}
    if shape[2] == 1:
        assert set(gathered_shapes(compiled)) <= parameters
        assert bool(gathered_shapes(compiled)) == (shape[1] > 1)


def test_a_sampled_parameter_has_the_same_gradient_on_every_mesh():
    """`sample_volume` has a gradient of its own; a front of faces is a parameter that it reads."""
    rng = np.random.default_rng(0)
    front = jnp.asarray(rng.normal(size=(1, 1, 8, 8, 1)), jnp.float32)
    grid = jnp.asarray(rng.uniform(-1, 1, (8, 1, 5, 5, 3)), jnp.float32)

    def gradient(layout):
        read = layout.by_example(lambda front, grid: sample_volume(front, grid, "border") ** 2)
        return jax.jit(jax.grad(lambda front: read(front, grid).sum()))(front)

    want = gradient(single_device())
    for shape in MESHES:
        layout = Layout(make_mesh(MeshConfig(**mesh_dict(shape))), 1)
        np.testing.assert_allclose(gradient(layout), want, rtol=1e-5, atol=1e-6)


def test_bytes_per_device_fall_as_one_over_fsdp():
    held = {}
    for ways in (1, 2, 4):
        _, state, _, _ = prepare(toy_task(mesh={"data": 1, "fsdp": ways}), ways)
        shards = [x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state)]
        whole = [x.nbytes for x in jax.tree.leaves(state)]
        split = [n for n, x in zip(shards, jax.tree.leaves(state), strict=True) if x.size >= 64]
        held[ways] = sum(split)
        # What is not split are biases and counters.
        assert sum(shards) - sum(split) < 0.05 * sum(whole)
    # (8, 3)-like leftovers aside, exactly 1 / fsdp.
    assert held[2] == held[1] / 2
    assert held[4] == held[1] / 4


def test_batch_must_split():
    with pytest.raises(UserError, match="batch=12 must be a multiple"):
        prepare(toy_task({"batch": 12}), 8)
    with pytest.raises(UserError, match="accumulate"):
        prepare(toy_task({"batch": 16, "accumulate": 4}), 8)
