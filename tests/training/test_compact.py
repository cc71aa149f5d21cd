"""Small copies of a training state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vasa_jax.errors import UserError
from vasa_jax.training.compact import PART_BYTES, pack, unpack
from vasa_jax.training.state import TrainState, averaged, update

OPTIMIZER = optax.adamw(3e-3, weight_decay=0.0)
X = np.random.default_rng(0).normal(size=(256, 40)).astype(np.float32)
Y = np.tanh(X @ np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32))


def fresh(width=128):
    rng = np.random.default_rng(2)
    params = {
        "in": {"kernel": jnp.asarray(rng.normal(size=(40, width)).astype(np.float32) / 6)},
        "out": {"kernel": jnp.asarray(rng.normal(size=(width, 3)).astype(np.float32) / 9),
                "bias": jnp.zeros(3)},
    }  # fmt: skip
    return TrainState(jnp.zeros((), jnp.int32), params, OPTIMIZER.init(params),
                      jax.tree.map(jnp.copy, params), {}, {}, {})  # fmt: skip


def loss(params):
    hidden = jnp.tanh(X @ params["in"]["kernel"])
    return jnp.mean((hidden @ params["out"]["kernel"] + params["out"]["bias"] - Y) ** 2)


@jax.jit
def step(state):
    grads = jax.grad(loss)(state.params)
    params, opt_state, _ = update(OPTIMIZER, grads, state.opt_state, state.params)
    ema = averaged(state.ema, params, state.step + 1, 0.99)
    return state._replace(step=state.step + 1, params=params, opt_state=opt_state, ema=ema)


def run(state, steps):
    for _ in range(steps):
        state = step(state)
    return state


@pytest.fixture(scope="module")
def trained():
    return run(fresh(), 100)


def close(a, b, share):
    """Within a share of the largest entry."""
    return np.abs(np.asarray(a) - np.asarray(b)).max() <= share * np.abs(np.asarray(b)).max()


def test_what_was_packed_comes_back(trained, tmp_path):
    size = pack(trained, {"next": 12}, tmp_path)
    back, extra = unpack(tmp_path, fresh())
    assert extra == {"next": 12}
    assert size == sum(f.stat().st_size for f in tmp_path.iterdir())
    assert int(back.step) == 100
    for name in ("in", "out"):
        a, b = back.params[name]["kernel"], trained.params[name]["kernel"]
        assert np.abs(a / np.asarray(b) - 1).max() <= 2.0**-16  # 16 bits of mantissa
        # Averages are differences to the parameters: their error is one of the difference.
        gap = np.abs(np.asarray(trained.ema[name]["kernel"]) - b).max()
        error = np.abs(back.ema[name]["kernel"] - np.asarray(trained.ema[name]["kernel"])).max()
        assert error <= gap / 127 + 2.0**-16 * np.abs(b).max()
    np.testing.assert_array_equal(back.params["out"]["bias"], trained.params["out"]["bias"])
    ours, theirs = back.opt_state[0], trained.opt_state[0]
    assert int(ours.count) == int(theirs.count)
    assert close(ours.mu["in"]["kernel"], theirs.mu["in"]["kernel"], 1 / 127)
    roots = [np.sqrt(np.asarray(s.nu["in"]["kernel"])) for s in (ours, theirs)]
    assert close(*roots, 1 / 127)
    assert (roots[0] >= roots[1] * (1 - 1e-6)).all()  # never smaller: no step may grow


def test_going_on_costs_less_than_ten_steps(trained, tmp_path):
    pack(trained, None, tmp_path)
    back, _ = unpack(tmp_path, fresh())
    straight, resumed = float(loss(run(trained, 50).params)), float(loss(run(back, 60).params))
    assert straight < 0.8 * float(loss(trained.params))
    assert resumed <= straight


def test_six_bytes_a_parameter_in_files_of_16_mib(tmp_path):
    state = fresh(width=100_000)
    count = sum(x.size for x in jax.tree.leaves(state.params))
    size = pack(state, None, tmp_path)
    assert size <= 6.2 * count
    files = [f.stat().st_size for f in tmp_path.iterdir()]
    assert len(files) == 1 + -(-size // PART_BYTES)
    assert max(files) <= PART_BYTES


def test_first_moments_give_way_first_then_averages(trained, tmp_path):
    size = pack(trained, None, tmp_path / "all")
    smaller = pack(trained, None, tmp_path / "less", most=size - 1)
    assert smaller < size
    back, _ = unpack(tmp_path / "less", fresh())
    assert not back.opt_state[0].mu["in"]["kernel"].any()
    assert back.opt_state[0].nu["in"]["kernel"].any()
    gaps = [np.abs(s.ema["in"]["kernel"] - s.params["in"]["kernel"]).max() for s in (back, trained)]
    assert gaps[0] == pytest.approx(gaps[1], rel=0.02)
    straight, resumed = (float(loss(run(s, n).params)) for s, n in ((trained, 50), (back, 60)))
    assert resumed <= straight
    assert pack(trained, None, tmp_path / "least", most=smaller - 1) < smaller
    back, _ = unpack(tmp_path / "least", fresh())
    np.testing.assert_array_equal(back.ema["in"]["kernel"], back.params["in"]["kernel"])
    with pytest.raises(UserError, match="make the model smaller"):
        pack(trained, None, tmp_path / "none", most=1000)
    assert not (tmp_path / "none").exists()


def test_broken_copies_are_refused(trained, tmp_path):
    with pytest.raises(UserError, match="no whole copy"):
        unpack(tmp_path, fresh())
    pack(trained, None, tmp_path)
    with pytest.raises(UserError, match="another model"):
        unpack(tmp_path, fresh(width=64))
    part = tmp_path / "part-00.bin"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(UserError, match="parts are missing"):
        unpack(tmp_path, fresh())
