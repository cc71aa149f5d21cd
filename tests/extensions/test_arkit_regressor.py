"""The read-in, on codes whose law is known."""

import numpy as np
import pytest

from vasa_jax.errors import UserError
from vasa_jax.extensions import arkit_regressor as readin
from vasa_jax.extensions.arkit_regressor import (
    Codes,
    choose,
    explained,
    fit,
    load_read_in,
    save_read_in,
)

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(size=(54, 6)) / 3, RNG.normal(size=(54, 6)) / 3


def codes(seed, law, faces=400, people=3, noise=0.0):
    """Every face on several people, who add something of their own."""
    rng = np.random.default_rng(seed)
    arkit, eyes = rng.uniform(0, 1, (faces, 52)), rng.normal(size=(faces, 2)) * 0.2
    arkit[:, 40:] = 0.0  # some coefficients never move
    face = np.repeat(np.arange(faces), people)
    dyn = law(np.concatenate([arkit, eyes], 1))[face]
    dyn = dyn + noise * rng.normal(size=dyn.shape)
    f32 = lambda x: x.astype(np.float32)  # noqa: E731
    return Codes(f32(dyn), f32(arkit[face]), f32(eyes[face]), face)


def test_linear_is_scipys_regression(tmp_path):
    from scipy.linalg import lstsq

    data = codes(1, lambda x: x @ FIRST + 2.0, noise=0.02)
    read_in = fit(data, "linear")
    rows = np.concatenate([data.arkit, data.eyes, np.ones((len(data.dyn), 1))], 1)
    want = rows @ lstsq(rows.astype(np.float64), data.dyn)[0]
    np.testing.assert_allclose(read_in(data.arkit, data.eyes), want, atol=5e-3)
    save_read_in(tmp_path / "r.safetensors", read_in)
    back = load_read_in(tmp_path / "r.safetensors")
    np.testing.assert_array_equal(back(data.arkit, data.eyes), read_in(data.arkit, data.eyes))


def test_products_need_the_quadratic_fit():
    law = lambda x: x @ FIRST + (x @ FIRST) * (x @ SECOND)  # noqa: E731
    data, held = codes(2, law, 2000), codes(3, law)
    best, figures = choose(data, held, ("linear", "quadratic"))
    assert best.kind == "quadratic"
    assert figures["quadratic"]["faces"] > 0.98
    assert figures["linear"]["faces"] < 0.95


def test_mlp_bends_and_is_deterministic(monkeypatch):
    monkeypatch.setattr(readin, "_WIDTH", 64)
    law = lambda x: np.tanh(3 * ((x - 0.4) @ SECOND))  # noqa: E731
    data, held = codes(4, law, 1500, 1), codes(5, law)
    first, second = (fit(data, "mlp", seed=7, steps=600) for _ in range(2))
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name])
    left = 1 - explained(first, held)["faces"]
    assert left < 0.8 * (1 - explained(fit(data, "linear"), held)["faces"])


def test_shares_of_variance():
    """What people add is not explained of pictures, but is averaged away over a face's pictures."""
    data, held = (codes(seed, lambda x: x @ FIRST, 500, 40, noise=1.0) for seed in (6, 7))
    found = explained(fit(data, "linear"), held)
    law = np.var(np.concatenate([held.arkit, held.eyes], 1) @ FIRST, axis=0).sum()
    assert found["pictures"] == pytest.approx(law / (law + 6.0), abs=0.02)
    assert found["shown"] == pytest.approx((law + 6 / 40) / (law + 6), abs=0.02)
    assert found["faces"] == pytest.approx(law / (law + 6.0 / 40), abs=0.02)


def test_bad_codes_and_files(tmp_path):
    data = codes(8, lambda x: x @ FIRST)
    with pytest.raises(UserError, match="NaN"):
        fit(data._replace(dyn=data.dyn * np.float32(np.nan)), "linear")
    from vasa_jax.params import save_safetensors

    save_safetensors(tmp_path / "x.safetensors", {"centre": np.zeros(3, np.float32)}, {})
    with pytest.raises(UserError, match="no read-in"):
        load_read_in(tmp_path / "x.safetensors")
