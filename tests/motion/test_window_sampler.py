"""The windowed sampler: exactness, chunking, batching, randomness, compilation and sharding."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from motion_toys import debug_config, debug_params

from vasa_jax.errors import UserError
from vasa_jax.extensions.build import build_motion_model
from vasa_jax.motion.clips import (
    ClipControls,
    ClipSampling,
    clip_inputs,
    null_carry,
    sample_clip,
    sample_clips,
)
from vasa_jax.motion.conditions import Conditions
from vasa_jax.motion.sampler import (
    LinenNetwork,
    initial_carry,
    make_plan,
    sample_windows,
)
from vasa_jax.motion.stats import MotionStats
from vasa_jax.motion.target import MotionTarget
from vasa_jax.typing import POSE_DIM

CONFIG = debug_config(window=8, context=3, layers=1)
W, M, A = 8, CONFIG.face.motion_dim, CONFIG.audio.dim
STATS = MotionStats(
    np.linspace(-1, 1, M, dtype=np.float32), np.linspace(0.5, 2, M, dtype=np.float32)
)
CALLS: list = []


class PlainTarget:
    """x0 is the motion itself."""

    def target(self, params, conditions):
        return MotionTarget()


@dataclass(frozen=True)
class KnowsTheAnswer(PlainTarget):
    """x0 is written in the first M audio channels; counts the examples of each evaluation."""

    def embed(self, params, conditions):
        return conditions.audio

    def denoise(self, params, embedded, x_t, t):
        jax.debug.callback(lambda n: CALLS.append(int(n)), len(x_t))
        return embedded[..., :M]


@dataclass(frozen=True)
class Continues(PlainTarget):
    """Counts on from X_pre's last frame (0 without context), to see the carry."""

    def embed(self, params, conditions):
        last = jnp.where(conditions.has_context[:, None], conditions.motion_context[:, -1], 0.0)
        first = jnp.where(conditions.has_context[:, None], conditions.audio_context[:, -1, :M], 0.0)
        return last[:, None] + jnp.arange(1, W + 1)[:, None], first[:, None]

    def denoise(self, params, embedded, x_t, t):
        return embedded[0] + 0 * embedded[1]


def plan_of(**changes):
    return make_plan(dataclasses.replace(CONFIG.diffusion, **changes))


def network():
    return LinenNetwork(build_motion_model(CONFIG)), debug_params(CONFIG)


def speech(frames, seed=0):
    return np.random.default_rng(seed).standard_normal((frames, A)).astype(np.float32)


CONTROLS = ClipControls(gaze=np.array([0.2, -0.1]), distance=np.array([1.0]))


def run(net, params, plan_weights, clips, controls=None, seeds=None, per_call=2, stats=STATS):
    plan, weights = plan_weights
    controls = controls or [CONTROLS] * len(clips)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds or range(len(clips))))
    return sample_clips(
        net, plan, weights, params, CONFIG.motion, stats, clips, controls, keys, per_call
    )


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp2m"])
def test_a_network_that_knows_returns_the_target_over_three_windows(sampler):
    audio = speech(2 * W + 5)
    (motion,) = run(KnowsTheAnswer(), {}, plan_of(sampler=sampler), [audio])
    np.testing.assert_allclose(motion, STATS.denormalise(audio[:, :M]), atol=1e-5)


def test_cost_is_branches_times_steps_times_needed_windows():
    for weights, branches in (
        ({"guidance_audio": 0.0, "guidance_gaze": 0.0}, 1),
        ({}, 3),
        ({"guidance_emotion": 0.2}, 4),
    ):
        CALLS.clear()
        run(KnowsTheAnswer(), {}, plan_of(**weights), [speech(2 * W + 1)] * 2, per_call=8)
        jax.effects_barrier()
        # Three of the eight windows are needed: the others are skipped, not thrown away.
        assert [2 * branches] * (3 * CONFIG.diffusion.steps) == CALLS


def test_windows_hand_on_their_last_frames():
    (motion,) = run(Continues(), {}, plan_of(), [speech(4 * W)], stats=unit_stats())
    np.testing.assert_allclose(motion[:, 0], np.arange(1, 4 * W + 1), atol=1e-4)


def test_a_clip_goes_on_from_a_given_context():
    (plan, weights), clips = plan_of(), [speech(2 * W)] * 2
    carry = null_carry(2, CONFIG.motion, M, A)
    assert not carry.has_context.any()
    context = np.full((3, M), 7.0, np.float32)
    known, before = np.array([False, True]), np.stack([0 * context, context])
    later = carry._replace(motion_context=before, has_context=known)
    keys = jax.random.split(jax.random.key(0), 2)

    def step(carry, inputs):
        return sample_windows(Continues(), plan, {}, carry, inputs, keys, weights)

    sampling = ClipSampling(step, [CONTROLS] * 2, CONFIG.motion, unit_stats(), A, 2, later)
    fresh, continued = sampling(clips)
    np.testing.assert_allclose(fresh[:, 0], np.arange(1, 2 * W + 1), atol=1e-4)
    np.testing.assert_allclose(continued[:, 0], 7 + np.arange(1, 2 * W + 1), atol=1e-4)


def unit_stats():
    return MotionStats(np.zeros(M, np.float32), np.ones(M, np.float32))


@pytest.mark.parametrize("changes", [{}, {"eta": 0.8}, {"sampler": "dpmpp2m"}], ids=str)
def test_scan_equals_a_plain_python_loop(changes):
    (plan, weights), (net, params) = plan_of(**changes), network()
    frames = 2 * W + 5
    audio = speech(frames)
    key = jax.random.key(4)
    got = sample_clip(
        net, plan, weights, params, CONFIG.motion, unit_stats(), audio, CONTROLS, key, 2
    )

    apply = jax.jit(net.model.apply)
    table = plan.sampler.table(plan.schedule, plan.steps)
    padded = np.zeros((3 * W, A), np.float32)
    padded[:frames] = audio
    motion, pieces = None, []
    for i in range(3):
        now = slice(i * W, (i + 1) * W)
        before = slice(i * W - 3, i * W)
        yes = jnp.ones(1, bool)
        conditions = Conditions(
            motion_context=jnp.zeros((1, 3, M)) if i == 0 else motion[:, -3:],
            audio_context=jnp.zeros((1, 3, A)) if i == 0 else jnp.asarray(padded[None, before]),
            audio=jnp.asarray(padded[None, now]),
            gaze=jnp.asarray(CONTROLS.gaze, jnp.float32)[None],
            distance=jnp.ones((1, 1)),
            emotion=jnp.zeros((1, 8)),
            has_context=jnp.full(1, i > 0),
            has_audio=yes,
            has_gaze=yes,
            has_distance=yes,
            has_emotion=~yes,
            audio_valid=jnp.arange(i * W, (i + 1) * W)[None] < frames,
        )
        no_audio = conditions._replace(has_audio=~yes)
        no_gaze = conditions._replace(has_gaze=~yes)
        window_key = jax.random.fold_in(key, i)
        x = jax.random.normal(jax.random.fold_in(window_key, 0), (W, M))[None]
        previous = jnp.zeros_like(x)
        for s in range(plan.steps):
            row = jax.tree.map(lambda column, s=s: column[s], table)
            t = jnp.asarray(row.t)[None]
            full, a, g = (apply(params, x, t, c) for c in (conditions, no_audio, no_gaze))
            x0 = 2.5 * full - 0.5 * a - 1.0 * g
            noise = jax.random.normal(jax.random.fold_in(window_key, s + 1), (W, M))[None]
            x, previous = row.x * x + row.x0 * x0 + row.previous * previous, x0
            x = x + row.noise * noise
        motion = x
        pieces.append(np.asarray(x[0]))
    expected = np.concatenate(pieces)[:frames]
    assert np.abs(expected).max() > 0.3
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


@dataclass(frozen=True)
class Mixes(PlainTarget):
    """A smooth function of everything: noisy motion, step, context and audio."""

    def embed(self, params, conditions):
        past = conditions.motion_context.mean(1, keepdims=True)
        heard = conditions.has_audio[:, None, None] * conditions.audio[..., :M]
        return heard + 0.5 * past * conditions.has_context[:, None, None]

    def denoise(self, params, embedded, x_t, t):
        return jnp.tanh(embedded + 0.3 * x_t * jnp.cos(t / 50.0)[:, None, None])


@pytest.mark.parametrize("changes", [{"eta": 0.8}, {"sampler": "dpmpp2m"}], ids=str)
def test_scans_equal_the_same_steps_as_a_python_loop_to_a_millionth(changes):
    """Without jit, JAX runs both scans as Python loops, one operation after the other."""
    clips = [speech(2 * W + 3)]
    (compiled,) = run(Mixes(), {}, plan_of(**changes), clips, stats=unit_stats())
    with jax.disable_jit():
        (looped,) = run(Mixes(), {}, plan_of(**changes), clips, stats=unit_stats())
    assert np.abs(looped).max() > 0.3
    np.testing.assert_allclose(compiled, looped, atol=1e-6 * np.abs(looped).max())


def test_batch_equals_single_runs_and_chunks_do_not_matter():
    net, params = network()
    clips = [speech(n, seed=n) for n in (5, W, 2 * W + 3, 5 * W + 1)]
    plan = plan_of(eta=0.5)
    together = run(net, params, plan, clips, per_call=2)
    for i, clip in enumerate(clips):
        (alone,) = run(net, params, plan, [clip], seeds=[i], per_call=2)
        assert alone.shape == (len(clip), M)
        np.testing.assert_allclose(together[i], alone, atol=2e-5)
    for a, b in zip(together, run(net, params, plan, clips, per_call=3), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    # Three and three windows by hand: the carry alone joins two calls.
    inputs = jax.tree.map(
        lambda x: jnp.asarray(x)[None], clip_inputs(clips[3], CONTROLS, STATS, W, 6)
    )
    carry, keys = initial_carry(1, 3, M, A), jax.vmap(jax.random.key)(jnp.array([3]))
    halves = []
    for part in (slice(0, 3), slice(3, 6)):
        now = jax.tree.map(lambda x, part=part: x[:, part], inputs)
        carry, motion = sample_windows(net, plan[0], params, carry, now, keys, plan[1])
        halves.append(np.asarray(motion)[0].reshape(-1, M))
    assert int(carry.number) == 6
    joined = STATS.denormalise(np.concatenate(halves))[: len(clips[3])]
    np.testing.assert_allclose(joined, together[3], atol=2e-5)


def test_the_key_decides_everything():
    net, params = network()
    clip = [speech(W + 2)]
    for plan in (plan_of(eta=1.0), plan_of()):
        one, again = (run(net, params, plan, clip, seeds=[1])[0] for _ in range(2))
        other = run(net, params, plan, clip, seeds=[2])[0]
        np.testing.assert_array_equal(one, again)
        assert np.abs(one - other).max() > 1e-3


def test_clips_of_other_lengths_and_strengths_compile_nothing():
    net, params = network()
    plan, weights = plan_of()
    run(net, params, (plan, weights), [speech(3)])
    compiled = sample_windows._cache_size()
    for frames in (1, W, 2 * W, 9 * W + 4):
        run(net, params, (plan, 2 * weights), [speech(frames)])
    assert sample_windows._cache_size() == compiled
    run(net, params, (plan, weights), [speech(3)] * 2)
    assert sample_windows._cache_size() == compiled + 1  # the counter does count


def test_conditions_may_change_from_window_to_window():
    net, params = network()
    plan = plan_of()
    clip = speech(3 * W)
    still = CONTROLS._replace(gaze=np.zeros((3, 2)))
    turns = CONTROLS._replace(gaze=np.array([[0.0, 0], [0, 0], [0.5, 0]]))
    a, b = (run(net, params, plan, [clip], [c])[0] for c in (still, turns))
    np.testing.assert_allclose(a[: 2 * W], b[: 2 * W], atol=1e-6)
    assert np.abs(a[2 * W :] - b[2 * W :]).max() > 1e-3
    # One row lasts to the end; no wish at all is the learned null, not zero.
    held = run(net, params, plan, [clip], [CONTROLS._replace(gaze=np.zeros(2))])[0]
    np.testing.assert_allclose(a, held, atol=1e-6)
    null = run(net, params, plan, [clip], [CONTROLS._replace(gaze=None)])[0]
    assert np.abs(a - null).max() > 1e-3


def test_a_fixed_pose_is_kept_and_the_rest_follows_it():
    net, params = network()
    plan = plan_of()
    clip = speech(3 * W)
    pose = np.random.default_rng(1).standard_normal((2 * W + 2, POSE_DIM)).astype(np.float32)
    free = run(net, params, plan, [clip, clip])
    fixed = run(net, params, plan, [clip, clip], [CONTROLS._replace(pose=pose), CONTROLS])
    np.testing.assert_allclose(fixed[0][: len(pose), :POSE_DIM], pose, atol=1e-5)
    assert np.abs(fixed[0][: len(pose), POSE_DIM:] - free[0][: len(pose), POSE_DIM:]).max() > 1e-3
    np.testing.assert_allclose(fixed[1], free[1], atol=2e-5)  # its companion is untouched


def test_sharded_over_the_batch_equals_one_device():
    net, params = network()
    plan, weights = plan_of(eta=0.5)
    lengths = [3, W, 2 * W, 5, 11, 2 * W - 1, 1, 9]
    clips = [clip_inputs(speech(n, seed=n), CONTROLS, STATS, W, 2) for n in lengths]
    inputs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *clips)
    carry, keys = initial_carry(8, 3, M, A), jax.random.split(jax.random.key(0), 8)
    _, single = sample_windows(net, plan, params, carry, inputs, keys, weights)

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    carry = carry._replace(
        **{n: jax.device_put(getattr(carry, n), split) for n in carry._fields[:3]},
        number=jax.device_put(carry.number, whole),
    )
    inputs, keys = jax.device_put((inputs, keys), split)
    params, weights = jax.device_put((params, weights), whole)
    _, many = sample_windows(net, plan, params, carry, inputs, keys, weights)
    assert len(many.sharding.device_set) == 8
    assert not many.sharding.is_fully_replicated
    for i, n in enumerate(lengths):
        a, b = (np.asarray(x)[i].reshape(-1, M)[:n] for x in (single, many))
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_an_empty_clip_fills_up_a_batch_and_costs_no_window():
    CALLS.clear()
    done = []
    plan, weights = plan_of()
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    arguments = (KnowsTheAnswer(), plan, weights, {}, CONFIG.motion, STATS)
    full, empty = sample_clips(
        *arguments, [speech(W + 1), speech(0)], [CONTROLS] * 2, keys, 2, done.append
    )
    assert full.shape == (W + 1, M)
    assert empty.shape == (0, M)
    assert done == [2]
    jax.effects_barrier()
    CALLS.clear()
    sample_clips(*arguments, [speech(0)] * 2, [CONTROLS] * 2, keys, 2)
    jax.effects_barrier()
    assert CALLS == []


def test_bad_input_is_named():
    net, params = network()
    plan = plan_of()
    with pytest.raises(UserError, match="NaN"):
        run(net, params, plan, [speech(3) * np.nan])
    with pytest.raises(UserError, match="gaze must be 2 finite numbers"):
        run(net, params, plan, [speech(3)], [ClipControls(gaze=np.full(2, np.nan))])
