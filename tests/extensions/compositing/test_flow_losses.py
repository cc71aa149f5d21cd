"""Losses on exact correspondences: against torch's sampling, and on cases whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.extensions.compositing.blend import CompositeOutput
from vasa_jax.extensions.compositing.flow_losses import (
    HIDDEN,
    SEEN,
    STILL,
    blend_mask_loss,
    disocclusion_loss,
    flow_loss,
)

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
MIDDLE = jnp.asarray(
    np.tile([[[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.42, 0.6], [0.58, 0.6]]], (2, 1, 1))
)
ONLY = 50.0


def centres(size):
    axis = (np.arange(size) + 0.5) / size
    return np.stack(np.meshgrid(axis, axis), -1).astype(np.float32)


def truth(size, move=(0.0, 0.0), seen=1.0, person=1.0, b=2):
    place = np.broadcast_to(centres(size) + np.float32(move), (b, size, size, 2))
    flags = np.broadcast_to(np.stack(np.broadcast_arrays(seen, person), -1), (b, size, size, 2))
    return jnp.asarray(np.concatenate([place, flags], -1), jnp.float32)


def made(size, move=(0.0, 0.0), shares=(0.0, 0.0, 0.0), b=2):
    """A picture whose pixels come from `move` shares of the width further right and down."""
    axis = np.linspace(-1, 1, size)
    flow = np.stack(np.meshgrid(axis, axis), -1) + np.array(move) * 2 * size / (size - 1)
    picture = jnp.zeros((b, size, size, 3))
    flow = jnp.asarray(np.broadcast_to(flow, (b, size, size, 2)), jnp.float32)
    return CompositeOutput(picture, None, jnp.broadcast_to(jnp.array(shares), picture.shape), flow)


def test_the_models_positions_are_those_of_torch():
    """A shift by three pixels in shares of the width is three pixels for grid_sample."""
    picture = RNG.uniform(size=(1, 3, 32, 32)).astype(np.float32)
    flow = np.array(made(32, (3 / 32, 0.0), b=1).flow)
    found = torch.nn.functional.grid_sample(
        torch.from_numpy(picture), torch.from_numpy(flow), align_corners=True
    )
    np.testing.assert_allclose(found[..., :-3], picture[..., 3:], atol=1e-5)


@pytest.mark.parametrize(("size", "known"), [(32, 32), (64, 32), (32, 64)])
def test_a_right_flow_costs_nothing_and_a_wrong_one_its_way(size, known):
    move = (3 / 32, -1 / 32)
    right, true = made(size, move), truth(known, move)
    assert float(flow_loss(right, true, None, 0.0).value) < 1e-6
    still = float(flow_loss(made(size), true, None, 0.0).value)
    assert still == pytest.approx(4 / 32, rel=1e-4)
    assert float(flow_loss(made(size), true, MIDDLE, 2.0).value) == pytest.approx(
        3 * still, rel=1e-3
    )


def test_only_what_is_seen_of_the_person_counts():
    seen = (np.arange(32) < 16).astype(np.float32)[None, :] * np.ones((32, 1))
    flow = made(32, (0.1, 0.0))
    assert float(flow_loss(flow, truth(32, seen=seen), None, 0.0).value) == pytest.approx(
        0.1, rel=1e-4
    )
    assert float(flow_loss(flow, truth(32, person=0.0), None, 0.0).value) == 0
    moved = flow.flow.at[:, :, 16:].add(0.5)
    same = flow_loss(flow._replace(flow=moved), truth(32, seen=seen), None, 0.0).value
    assert float(same) == pytest.approx(0.1, rel=1e-4)


def test_finer_truth_counts_where_a_whole_block_lies_in_one_place():
    move = np.zeros((64, 64, 2), np.float32)
    move[:, 33:] = 0.2  # an edge within a block
    fine = truth(64).at[..., :2].add(move)
    grad = jax.grad(lambda f: flow_loss(made(32)._replace(flow=f), fine, None, 0.0).value)(
        made(32).flow
    )
    felt = np.abs(grad[0, :, :, 0]).max(0) > 0
    assert not felt[16]
    assert felt[17:].all()


def test_shares_go_to_the_layers_that_can_show_a_pixel():
    """Four columns: the person moved, the person where it was, background, what is hidden."""
    column = np.arange(32) // 8
    seen, person = np.float32(column < 3), np.float32(column != 2)
    rows = np.ones((32, 1), np.float32)
    known = truth(32, seen=seen * rows, person=person * rows)
    known = known.at[:, :, :8, 0].add(10 * STILL)
    loss = lambda s: blend_mask_loss(made(32)._replace(blend_logits=s), known, None, 0.0).value  # noqa: E731
    even = jnp.zeros((2, 32, 32, 3))
    assert float(loss(even)) == pytest.approx((3 * np.log(3) + np.log(1.5)) / 4, rel=1e-4)
    best = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])[column]
    other = np.where(column[:, None] == 1, [0, 1, 0], best)
    for right in (best, other):
        assert float(loss(even + ONLY * right)) < 1e-6
    push = -np.asarray(jax.grad(loss)(even))[0, 0]
    signs = [[1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1]]
    np.testing.assert_array_equal(np.sign(push), np.array(signs)[column])


def test_what_the_portrait_hides_is_asked_of_the_decoder():
    """A hundredth of the picture is hidden and off by 0.2; the rest, off by 0.4, counts a tenth."""
    hidden = np.zeros((40, 40), np.float32)
    hidden[4:8, 4:8] = 1
    target = jnp.full((2, 80, 80, 3), 0.5)
    off = 0.4 - 0.2 * np.repeat(np.repeat(hidden, 2, 0), 2, 1)[..., None]
    known = truth(40, seen=1 - hidden)
    want = (0.01 * (1 + SEEN) * 0.2 + 0.99 * SEEN * 0.4) / (0.01 + SEEN)
    loss = disocclusion_loss(target + off, target, known, None, 0.0).value
    assert float(loss) == pytest.approx(want, rel=1e-4)
    # Nothing hidden in eyes and mouth: there all pixels are off alike, and count by SEEN.
    loss = disocclusion_loss(target + off, target, known, MIDDLE, 2.0).value
    assert float(loss) == pytest.approx(want + 2 * SEEN * 0.4, rel=1e-3)
    assert float(disocclusion_loss(target, target, known, MIDDLE, 2.0).value) == 0


@pytest.mark.parametrize("opening", [1, 8])
def test_a_small_opening_counts_as_much_as_a_large_one(opening):
    """In the mouth: off by 0.2, or shown by moved pixels, over `opening` rows of what is hidden."""
    hidden = np.zeros((80, 80), np.float32)
    hidden[48 : 48 + opening, 34:46] = 1
    known = truth(80, seen=1 - hidden)
    target = jnp.full((2, 80, 80, 3), 0.5)
    off = 0.2 * hidden[..., None]
    extra = [
        float(disocclusion_loss(target + off, target, known, MIDDLE, r).value) for r in (0.0, 2.0)
    ]
    assert extra[1] - extra[0] == pytest.approx(2 * 0.2, rel=1e-3)
    moved = made(80, shares=(2.0, 0.0, 0.0))
    extra = [float(blend_mask_loss(moved, known, MIDDLE, r).value) for r in (0.0, 2.0)]
    share = np.exp([2.0, 0.0, 0.0]) / np.exp([2.0, 0.0, 0.0]).sum()
    want = -2 * (HIDDEN * np.log(share[2]) + (1 - HIDDEN) * np.log(share[:2].sum()))
    assert extra[1] - extra[0] == pytest.approx(want, rel=1e-3)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        flow_loss(made(48), truth(32), None, 0.0)
