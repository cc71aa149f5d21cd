"""The contrastive loss against torch's cross-entropy over the same distances."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from vasa_jax.sync import contrast
from vasa_jax.sync.contrast import SOFT

torch = pytest.importorskip("torch")


def contrastive_losses(*arrays):
    return [np.asarray(x) for x in contrast.contrastive_losses(*map(jnp.asarray, arrays))]


def test_equals_torchs_cross_entropy():
    rng = np.random.default_rng(0)
    lips = rng.normal(size=(3, 10, 5)).astype(np.float32)
    sounds = rng.normal(size=(3, 16, 5)).astype(np.float32)
    start, length = rng.integers(0, 4, (3, 2)), rng.integers(2, 7, (3, 2))
    temperature = np.full(3, 0.3, np.float32)
    when, who, _ = contrastive_losses(lips, sounds, temperature, start, length)

    a, b = torch.from_numpy(lips).double(), torch.from_numpy(sounds).double()

    def apart(x, y):
        return (x - y).pow(2).sum(-1).add(1e-6).sqrt().mean()

    target = torch.zeros(7).double()
    target[2], target[3], target[4] = SOFT, 1 - 2 * SOFT, SOFT
    for i in range(3):
        times, clips = [], []
        for s, n in zip(start[i], length[i], strict=True):
            scale = -np.exp(0.3) * np.sqrt(n / 5)
            part = a[i, s : s + n]
            own = [apart(part, b[i, s + k : s + k + n]) for k in range(7)]
            times.append(torch.nn.functional.cross_entropy(scale * torch.stack(own), target))
            other = [apart(part, b[j, s + 3 : s + 3 + n]) for j in range(3)]
            clips.append(
                torch.nn.functional.cross_entropy(scale * torch.stack(other), torch.tensor(i))
            )
        assert_allclose(when[i], torch.stack(times).mean(), rtol=1e-4)
        assert_allclose(who[i], torch.stack(clips).mean(), rtol=1e-4)


def test_the_middle_shift_is_the_true_one():
    rng = np.random.default_rng(1)
    sounds = rng.normal(size=(2, 20, 4)).astype(np.float32)
    lips = sounds[:, 4:16]
    distances = np.asarray(contrast.shifted_distances(jnp.asarray(lips), jnp.asarray(sounds)))
    assert distances.shape == (2, 9, 12)
    assert (distances.mean(-1).argmin(1) == 4).all()
    rows = np.zeros((2, 1), int)
    when, who, found = contrastive_losses(
        lips, sounds, np.full(2, 2.0, np.float32), rows, rows + 12
    )
    assert (found == 1).all()
    late = np.roll(sounds, 3, axis=1)
    worse = contrastive_losses(lips, late, np.full(2, 2.0, np.float32), rows, rows + 12)
    assert (worse[0] > when + 1).all()
    assert (worse[2] == 0).all()
    swapped = contrastive_losses(lips, sounds[::-1], np.full(2, 2.0, np.float32), rows, rows + 12)
    assert (swapped[1] > who + 1).all()
