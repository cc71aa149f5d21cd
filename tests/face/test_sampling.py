"""sample_volume against torch.nn.functional.grid_sample: values and both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vasa_jax.face.sampling import identity_grid, sample_volume

SHAPE = (3, 4, 5, 6, 7)


def data(seed=0, spread=1.3, volume_batch=3):
    rng = np.random.default_rng(seed)
    volume = rng.normal(size=(volume_batch, *SHAPE[1:])).astype(np.float32)
    grid = rng.uniform(-spread, spread, size=(3, 3, 4, 5, 3)).astype(np.float32)
    weight = rng.normal(size=(3, 3, 4, 5, 7)).astype(np.float32)
    return volume, grid, weight


def torch_sample(volume, grid, weight, padding):
    v = torch.tensor(volume, requires_grad=True)
    g = torch.tensor(grid, requires_grad=True)
    out = torch.nn.functional.grid_sample(
        v.permute(0, 4, 1, 2, 3).expand(grid.shape[0], -1, -1, -1, -1),
        g,
        padding_mode=padding,
        align_corners=True,
    ).permute(0, 2, 3, 4, 1)
    (out * torch.tensor(weight)).sum().backward()
    return out.detach().numpy(), v.grad.numpy(), g.grad.numpy()


def close(ours, theirs, tolerance=1e-5):
    assert np.abs(np.asarray(ours) - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("volume_batch", [1, 3])
@pytest.mark.parametrize("spread", [0.9, 1.3, 3.0])
def test_values_and_gradients_equal_torch(padding, volume_batch, spread):
    volume, grid, weight = data(1, spread, volume_batch)
    value, d_volume, d_grid = torch_sample(volume, grid, weight, padding)

    def loss(v, g):
        out = sample_volume(v, g, padding)
        return jnp.sum(out * weight), out

    grads, out = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(volume, grid)
    close(out, value)
    close(grads[0], d_volume)
    close(grads[1], d_grid)


def test_points_far_outside_and_on_the_faces():
    volume, grid, weight = data(2)
    grid[0, 0, 0] = [[1e9] * 3, [-1e9] * 3, [1, 1, 1], [-1, -1, -1], [1, -1, 0]]
    for padding in ("zeros", "border"):
        value, _, _ = torch_sample(volume, grid, weight, padding)
        close(sample_volume(jnp.asarray(volume), jnp.asarray(grid), padding), value)


def test_identity_grid_returns_the_volume():
    volume, _, _ = data(3)
    grid = jnp.broadcast_to(identity_grid(*SHAPE[1:4]), (3, *SHAPE[1:4], 3))
    np.testing.assert_allclose(sample_volume(jnp.asarray(volume), grid), volume, atol=2e-6)


def test_identity_grid_equals_torch_affine_grid():
    theirs = torch.nn.functional.affine_grid(
        torch.eye(3, 4)[None], (1, 1, 4, 5, 6), align_corners=True
    )
    np.testing.assert_allclose(identity_grid(4, 5, 6), theirs[0], atol=1e-6)


def test_vmap_equals_batch():
    volume, grid, _ = data(4)
    batched = sample_volume(jnp.asarray(volume), jnp.asarray(grid))
    mapped = jax.jit(jax.vmap(lambda v, g: sample_volume(v[None], g[None])[0]))(volume, grid)
    np.testing.assert_allclose(mapped, batched, atol=1e-6)

    def loss(v, g):
        return jnp.sum(sample_volume(v[None], g[None]) ** 2)

    per_item = jax.vmap(jax.grad(loss, (0, 1)))(volume, grid)
    whole = jax.grad(lambda v, g: jnp.sum(sample_volume(v, g) ** 2), (0, 1))(
        jnp.asarray(volume), jnp.asarray(grid)
    )
    close(per_item[0], np.asarray(whole[0]))
    close(per_item[1], np.asarray(whole[1]))


def test_bfloat16_volume_gets_a_gradient_summed_in_float32():
    # 4096 points read one voxel. A bfloat16 sum of ones sticks at 256.
    volume = jnp.zeros((1, 2, 2, 2, 1), jnp.bfloat16)
    grid = -jnp.ones((1, 16, 16, 16, 3), jnp.float32)
    grad = jax.grad(lambda v: jnp.sum(sample_volume(v, grid).astype(jnp.float32)))(volume)
    assert grad.dtype == jnp.bfloat16
    assert float(grad[0, 0, 0, 0, 0]) == 4096.0


def test_bfloat16_volume_is_close_to_float32():
    volume, grid, _ = data(5)
    low = sample_volume(jnp.asarray(volume, jnp.bfloat16), jnp.asarray(grid))
    assert low.dtype == jnp.bfloat16
    exact = sample_volume(jnp.asarray(volume), jnp.asarray(grid))
    np.testing.assert_allclose(low.astype(jnp.float32), exact, atol=0.03)


def test_batch_one_volume_is_not_copied():
    # The compiled program holds no array as large as N copies of the volume.
    volume = jax.ShapeDtypeStruct((1, 8, 16, 16, 64), jnp.float32)
    grid = jax.ShapeDtypeStruct((32, 1, 2, 2, 3), jnp.float32)
    compiled = jax.jit(sample_volume).lower(volume, grid).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 8 * 16 * 16 * 64 * 4 * 4


def test_wrong_arguments():
    volume, grid, _ = data(6)
    with pytest.raises(ValueError, match="padding"):
        sample_volume(jnp.asarray(volume), jnp.asarray(grid), "reflection")
    with pytest.raises(ValueError, match="batch"):
        sample_volume(jnp.asarray(volume[:2]), jnp.asarray(grid))
