import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.audio.mel import MelEncoder

ENCODER = MelEncoder(dim=16, bins=40, width=24, blocks=2)


@pytest.fixture(scope="module")
def params():
    return jax.jit(ENCODER.init)(jax.random.key(0), jnp.zeros((1, 16000)))["params"]


@jax.jit
def encode(params, waveform, num_samples=None):
    return ENCODER.apply({"params": params}, waveform, num_samples)


def noise(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32) * 0.1


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (640, 1), (641, 2), (16000, 25)])
def test_one_feature_a_video_frame(params, samples, frames):
    assert encode(params, noise(2, samples)).shape == (2, frames, 16)


def test_reach_is_what_it_says(params):
    waveform = noise(1, 640 * 20)
    touched = waveform.copy()
    touched[:, 640 * 10 : 640 * 11] += 0.3
    change = np.abs(encode(params, touched) - encode(params, waveform)).max((0, 2))
    # The window of a hop leaks 7.5 ms into the neighbouring frames, hence one frame more.
    reach = ENCODER.receptive_frames + 1
    assert (change[10 - reach : 11 + reach] > 1e-5).all()
    assert (change[: 10 - reach] == 0).all()
    assert (change[11 + reach :] == 0).all()


def test_padding_changes_nothing(params):
    waveform = noise(2, 6400)
    long = np.concatenate([waveform, noise(2, 3200)], 1)  # rubbish beyond the end, not zeros
    whole = encode(params, long, jnp.array([6400, 5000]))
    np.testing.assert_allclose(whole[0, :10], encode(params, waveform)[0], atol=1e-6)
    np.testing.assert_allclose(whole[1, :8], encode(params, waveform[:, :5000])[1], atol=1e-6)
    assert not whole[0, 10:].any()
    assert not whole[1, 8:].any()


@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0])
def test_finite_features_and_gradients_at_any_level(params, level):
    def loss(params, waveform):
        return (ENCODER.apply({"params": params}, waveform) ** 2).sum()

    value, grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(params, noise(1, 3200) * level)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_bf16_stays_close(params):
    half = MelEncoder(dim=16, bins=40, width=24, blocks=2, dtype=jnp.bfloat16)
    waveform = noise(1, 6400)
    low = jax.jit(lambda x: half.apply({"params": params}, x))(waveform)
    full = encode(params, waveform)
    assert low.dtype == jnp.bfloat16
    assert np.abs(low.astype(jnp.float32) - full).max() < 0.05 * np.abs(full).max()
