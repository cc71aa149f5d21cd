"""A small transformer learns motion that is a known function of speech and gaze."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from motion_toys import debug_config, training_loss

from vasa_jax.extensions.build import build_motion_model, init_motion_model
from vasa_jax.motion.clips import ClipControls, sample_clips
from vasa_jax.motion.conditions import drop_conditions, null_conditions, without
from vasa_jax.motion.continuity import boundary_jump_ratio
from vasa_jax.motion.sampler import LinenNetwork, make_plan
from vasa_jax.motion.stats import fit_stats

STEPS, BATCH, LENGTH = 2000, 32, 64
CONFIG = debug_config(window=12, context=4)
W, K = 12, 4


class Deaf(LinenNetwork):
    """The same network, told that it has no speech, neither now nor before."""

    def embed(self, params, conditions):
        return super().embed(params, without(without(conditions, "audio"), "context"))


def draw(rng, clips):
    """Smooth "speech", one gaze per clip, and the motion that follows from both."""
    raw = rng.standard_normal((clips, LENGTH + 4, CONFIG.audio.dim))
    audio = np.stack([raw[:, i : i + LENGTH] for i in range(5)]).mean(0) * 5**0.5
    gaze = rng.uniform(-0.6, 0.6, (clips, 2))
    mixing = np.random.default_rng(99).standard_normal((4, CONFIG.face.motion_dim - 2)) / 2
    heard = np.tanh(audio[..., :4] @ mixing)
    held = np.broadcast_to(gaze[:, None], (clips, LENGTH, 2))
    motion = np.concatenate([held, heard], -1) * 3 + 1
    return [x.astype(np.float32) for x in (audio, gaze, motion)]


@pytest.mark.slow
def test_follows_held_out_speech_and_gaze_and_needs_them():
    rng = np.random.default_rng(0)
    audio, gaze, motion = draw(rng, 400)
    stats = fit_stats(motion.reshape(-1, motion.shape[-1]))
    normal = stats.normalise(motion).astype(np.float32)
    model = build_motion_model(CONFIG)
    params = jax.jit(partial(init_motion_model, CONFIG))(jax.random.key(0))
    optimiser = optax.adam(optax.cosine_decay_schedule(4e-3, STEPS))

    def one(key, params, data):
        audio, gaze, motion = data
        k1, k2, k3, k4 = jax.random.split(key, 4)
        clip = jax.random.randint(k1, (BATCH,), 0, len(audio))
        first = jax.random.randint(k2, (BATCH,), 0, LENGTH - W - K)
        frames = first[:, None] + jnp.arange(K + W)
        a, x = audio[clip[:, None], frames], motion[clip[:, None], frames]
        yes = jnp.ones(BATCH, bool)
        conditions = null_conditions(CONFIG, BATCH)._replace(
            audio=a[:, K:],
            audio_context=a[:, :K],
            motion_context=x[:, :K],
            gaze=gaze[clip],
            has_audio=yes,
            has_context=yes,
            has_gaze=yes,
            audio_valid=jnp.ones((BATCH, W), bool),
        )
        conditions = drop_conditions(k3, conditions, CONFIG.train_motion)
        valid = jnp.ones((BATCH, W), bool)
        return training_loss(
            lambda x_t, t: model.apply(params, x_t, t, conditions),
            CONFIG,
            k4,
            x[:, K:],
            valid,
        )

    @jax.jit
    def train(params, data, key):
        def body(state, key):
            params, opt = state
            loss, grads = jax.value_and_grad(partial(one, key))(params, data)
            updates, opt = optimiser.update(grads, opt)
            return (optax.apply_updates(params, updates), opt), loss

        state = params, optimiser.init(params)
        (params, _), losses = jax.lax.scan(body, state, jax.random.split(key, STEPS))
        return params, losses

    data = tuple(jnp.asarray(x) for x in (audio, gaze, normal))
    params, losses = train(params, data, jax.random.key(1))
    curve = np.asarray(losses).reshape(10, -1).mean(1).round(3)  # shown when an assertion fails
    print("loss by tenth of the training:", curve)

    audio, gaze, motion = draw(rng, 8)
    plan, weights = make_plan(CONFIG.diffusion)
    keys = jax.random.split(jax.random.key(2), 8)

    def generate(params, gaze, network=LinenNetwork(model)):  # noqa: B008
        controls = [ClipControls(gaze=g) for g in gaze]
        clips = sample_clips(
            network,
            plan,
            weights,
            params,
            CONFIG.motion,
            stats,
            list(audio),
            controls,
            keys,
            6,
        )
        return np.stack(clips)

    def follows(generated, reference):
        return np.mean(
            [
                np.corrcoef(generated[..., i].ravel(), reference[..., i].ravel())[0, 1]
                for i in range(2, reference.shape[-1])
            ]
        )

    made = generate(params, gaze)
    assert follows(made, motion) > 0.9
    looks = made[..., :2].mean(1)
    assert np.corrcoef(looks.ravel(), gaze.ravel())[0, 1] > 0.9
    turned = generate(params, -gaze)
    assert np.corrcoef(turned[..., :2].mean(1).ravel(), -gaze.ravel())[0, 1] > 0.9
    assert follows(turned, motion) > 0.9

    # Window edges: what moves across them is what moves inside, as in the true motion (about 1).
    edges, true_edges = (
        np.mean([boundary_jump_ratio(clip, W) for clip in clips]) for clips in (made, motion)
    )
    print("jump ratio at window edges:", edges, "in the true motion:", true_edges)
    assert edges < 1.2 * true_edges

    # Without the speech there is nothing to follow, but the gaze is kept.
    unheard = generate(params, gaze, Deaf(model))
    assert abs(follows(unheard, motion)) < 0.3
    assert np.corrcoef(unheard[..., :2].mean(1).ravel(), gaze.ravel())[0, 1] > 0.9
