"""Losses against exact renders, in the whole objective on a toy face model."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.face.toy import (
    BATCH,
    NETWORKS,
    RNG,
    SIZE,
    B,
    Toy,
    changed,
    face_loss,
    only,
    outputs_of,
    value_and_grad,
    variables,
)
from vasa_jax.errors import UserError
from vasa_jax.extensions.compositing.flow_losses import (
    blend_mask_loss,
    disocclusion_loss,
    flow_loss,
)
from vasa_jax.extensions.compositing.resample import shrink
from vasa_jax.extensions.transfer_losses import layer_assignment_loss, motion_weighted_loss
from vasa_jax.extensions.transfer_targets import SwapBatch, from_swaps
from vasa_jax.face import forward
from vasa_jax.face.batch import Frame
from vasa_jax.typing import Motion, Pose

NAMES = ("driven", "pose_only", "dyn_only")


def with_parts(out, changes):
    """Outputs whose three transfers were made otherwise."""
    decoded = dict(out.decoded)
    for name, change in zip(NAMES, changes, strict=True):
        parts = decoded[name].parts._replace(**change)
        decoded[name] = decoded[name]._replace(parts=parts)
    return out._replace(decoded=decoded)


def test_exact_transfers_are_measured_against_their_own_renders():
    batch, config = changed(BATCH, source_view=None, driver_view=None), only(transfer=1.0)
    toy = Toy(entangled=False)
    face = forward.bind(toy, variables(toy))
    out = outputs_of(config, face, batch)
    assert out.consistency_a is None
    # What the model draws, with each factor from the right frame, is what a perfect render equals.
    a, b = face.encode_motion(batch.source.image), face.encode_motion(batch.driver.image)
    source = face.encode_source(batch.source.image, a)
    pose_only, dyn_only = (face.decode(source, Motion(*m)) for m in ((b[0], a[1]), (a[0], b[1])))
    right = changed(batch, pose_only=pose_only, dyn_only=dyn_only)
    wrong = changed(batch, pose_only=dyn_only, dyn_only=pose_only)
    total, metrics = face_loss(config, right, out, NETWORKS)
    assert float(total) < 1e-5
    assert set(metrics) == {"loss/pose_only", "loss/dyn_only", "loss/total"}
    assert float(face_loss(config, wrong, out, NETWORKS)[0]) > 1e-2


def test_what_the_expression_moves_counts_by_how_far_it_moves():
    b, size = 2, 8
    flat = lambda v: jnp.full((b, size, size, 3), v)  # noqa: E731
    lips = jnp.zeros((size, size, 1)).at[5:7, 2:6].set(0.4).at[5, 2].set(0.2)
    batch = changed(
        BATCH,
        source=flat(0.5),
        dyn_only=flat(0.5) + lips,
        driver=flat(0.3) + lips,
        pose_only=flat(0.3),
    )
    right = batch.driver.image, batch.targets.pose_only, batch.targets.dyn_only
    assert float(motion_weighted_loss(batch, *right).value) == 0
    # A face that never moves: the mean change, each pixel weighted by its own.
    other = batch.targets.pose_only, batch.driver.image, batch.source.image
    still = motion_weighted_loss(batch, *other).value
    np.testing.assert_allclose(still, (7 * 0.4**2 + 0.2**2) / (7 * 0.4 + 0.2), rtol=1e-5)
    # Nothing outside of what moves counts.
    noise = jnp.where(lips > 0, 0.0, 0.3)
    assert float(motion_weighted_loss(batch, *(x + noise for x in right)).value) == 0
    out = outputs_of(only(transfer=1.0), forward.bind(Toy(), variables(Toy())), BATCH)
    config = only(transfer=1.0)
    config = dataclasses.replace(
        config, transfer=dataclasses.replace(config.transfer, motion_weighted=2.0)
    )
    total, metrics = face_loss(config, BATCH, out, NETWORKS)
    without, _ = face_loss(only(transfer=1.0), BATCH, out, NETWORKS)
    want = motion_weighted_loss(BATCH, *(out.decoded[name].image for name in NAMES)).value
    np.testing.assert_allclose(metrics["loss/moved"], want, rtol=1e-6)
    np.testing.assert_allclose(total - without, 2 * want, rtol=1e-4)


def test_what_the_decoder_draws_alone_has_the_same_targets():
    """At half the picture's size: a decoder that draws all targets right, and one that is off."""
    bare = changed(BATCH, driver_flow=None, pose_only_flow=None, dyn_only_flow=None)
    config = only(transfer=1.0)
    config = dataclasses.replace(config, transfer=dataclasses.replace(config.transfer, decoded=2.0))
    out = outputs_of(config, forward.bind(Toy(), variables(Toy())), BATCH)
    half = SIZE // 2
    for made in out.decoded.values():
        pooled = nn.avg_pool(made.image, (2, 2), (2, 2))
        np.testing.assert_allclose(made.parts.decoded, 1 - pooled, atol=1e-6)
    targets = [
        shrink(x, half)
        for x in (BATCH.driver.image, BATCH.targets.pose_only, BATCH.targets.dyn_only)
    ]

    def drawing(error):
        return with_parts(out, [{"decoded": x + error} for x in targets])

    _, metrics = face_loss(config, bare, drawing(0), NETWORKS)
    assert float(metrics["loss/drawn"]) == 0
    off = drawing(0.1)
    total, metrics = face_loss(config, bare, off, NETWORKS)
    exact = config.transfer
    np.testing.assert_allclose(
        metrics["loss/drawn"], 0.1 * (exact.pixel + exact.regions), rtol=1e-4
    )
    without, _ = face_loss(only(transfer=1.0), bare, off, NETWORKS)
    np.testing.assert_allclose(total - without, 2 * metrics["loss/drawn"], rtol=1e-4)


def test_shares_are_drawn_to_the_layer_that_is_right():
    """Three layers, each right in a third of the picture; where all are, nothing is asked."""
    config = only(transfer=1.0)
    target, points = BATCH.driver.image, BATCH.driver.points
    right = jnp.arange(SIZE)[:, None] // (SIZE // 4) == jnp.array([0, 1, 2])  # last quarter: none
    wrong = jnp.where(right.any(-1, keepdims=True), ~right, False)[:, None, :, None]
    layers = target[..., None, :] + jnp.where(wrong, 0.2, 0.0)
    even = jnp.zeros((B, SIZE, SIZE, 3))
    loss = lambda s, x=layers, p=points: layer_assignment_loss(config, x, s, target, p).value  # noqa: E731
    assert loss(even + 30.0 * right[:, None]) < 0.01 * loss(even)
    grad = np.asarray(jax.grad(loss)(even))
    last = 3 * (SIZE // 4)
    assert (np.sign(-grad[:, :last]) == np.where(right[:last, None], 1, -1)).all()
    assert not grad[:, last:].any()
    assert not np.asarray(jax.grad(lambda x: loss(even, x))(layers)).any()
    # Even shares: ln 3 nats wherever layers differ, by 0.2 of error.
    np.testing.assert_allclose(loss(even, p=None), 0.75 * 0.2 * np.log(3), rtol=1e-3)
    # A share of nearly nothing still feels its duty.
    gone = even.at[..., 2].set(-15.0)
    assert np.abs(jax.grad(loss)(gone)[:, SIZE // 2 : last, :, 2]).min() > 1e-5


def test_the_choice_counts_for_each_exact_render():
    config = only(transfer=1.0)
    config = dataclasses.replace(
        config, transfer=dataclasses.replace(config.transfer, layer_assignment=3.0)
    )
    out = outputs_of(config, forward.bind(Toy(), variables(Toy())), BATCH)
    _, metrics = face_loss(config, BATCH, out, NETWORKS)
    assert "loss/choice" not in metrics  # a decoder that draws everything has nothing to choose
    layers = jnp.asarray(RNG.uniform(size=(B, SIZE, SIZE, 3, 3)), jnp.float32)
    shares = jnp.asarray(RNG.normal(size=(B, SIZE, SIZE, 3)), jnp.float32)
    made = with_parts(out, 3 * [{"layers": layers, "blend_logits": shares}])
    total, metrics = face_loss(config, BATCH, made, NETWORKS)
    renders = (
        (BATCH.driver.image, BATCH.driver.points),
        (BATCH.targets.pose_only, BATCH.driver.points),
        (BATCH.targets.dyn_only, BATCH.source.points),
    )
    want = np.mean(
        [layer_assignment_loss(config, layers, shares, *render).value for render in renders]
    )
    np.testing.assert_allclose(metrics["loss/choice"], want, rtol=1e-5)
    without, _ = face_loss(only(transfer=1.0), BATCH, out, NETWORKS)
    np.testing.assert_allclose(total - without, 3 * want, rtol=1e-4)


def test_flows_and_shares_count_for_each_exact_render():
    config = only(transfer=1.0)
    config = dataclasses.replace(
        config,
        transfer=dataclasses.replace(config.transfer, flow=3.0, blend_masks=2.0, decoded=1.0),
    )
    out = outputs_of(config, forward.bind(Toy(), variables(Toy())), BATCH)
    flow = jnp.asarray(RNG.uniform(-1, 1, size=(B, SIZE, SIZE, 2)), jnp.float32)
    shares = jnp.asarray(RNG.normal(size=(B, SIZE, SIZE, 3)), jnp.float32)
    changes = [
        {"flow": flow * k, "blend_logits": shares * k, "decoded": out.decoded[name].image}
        for k, name in enumerate(NAMES, 1)
    ]
    out = with_parts(out, changes)
    parts = [out.decoded[name].parts for name in NAMES]
    truths = (BATCH.targets.driver_flow, BATCH.targets.pose_only_flow, BATCH.targets.dyn_only_flow)
    targets = (BATCH.driver.image, BATCH.targets.pose_only, BATCH.targets.dyn_only)
    points = (BATCH.driver.points, BATCH.driver.points, BATCH.source.points)
    config = dataclasses.replace(
        config, transfer=dataclasses.replace(config.transfer, flow_regions=0.5)
    )
    total, metrics = face_loss(config, BATCH, out, NETWORKS)
    for name, loss, regions in (("flow", flow_loss, 0.5), ("shares", blend_mask_loss, 5.0)):
        want = np.mean(
            [loss(*one, regions).value for one in zip(parts, truths, points, strict=True)]
        )
        np.testing.assert_allclose(metrics[f"loss/{name}"], want, rtol=1e-5)
    # Of what is drawn, what is hidden counts.
    more = [
        disocclusion_loss(p.decoded, x, t, o, config.transfer.regions).value
        for p, x, t, o in zip(parts, targets, truths, points, strict=True)
    ]
    np.testing.assert_allclose(metrics["loss/drawn"], np.mean(more), rtol=1e-5)
    bare = changed(BATCH, driver_flow=None, pose_only_flow=None, dyn_only_flow=None)
    off = dataclasses.replace(
        config, transfer=dataclasses.replace(config.transfer, flow=0.0, blend_masks=0.0)
    )
    whole, plain = face_loss(off, bare, out, NETWORKS)
    extra = metrics["loss/drawn"] - plain["loss/drawn"]
    want = 3 * metrics["loss/flow"] + 2 * metrics["loss/shares"] + extra
    np.testing.assert_allclose(total - whole, want, rtol=1e-4)
    with pytest.raises(UserError, match="needs groups of swaps that hold correspondences"):
        face_loss(config, bare, out, NETWORKS)


def test_without_exact_renders_there_is_no_exact_loss():
    (total, metrics), _ = value_and_grad(only(transfer=1.0), BATCH._replace(targets=None))
    assert float(total) == 0
    assert set(metrics) == {"loss/total"}


def test_swaps_become_a_batch_that_reads_motion_from_another_person():
    def picture(value):
        pose = Pose(*(np.full((2, n), value, np.float32) for n in (3, 3, 1)))
        return Frame(np.full((2, 8, 8, 3), value, np.float32), pose=pose)

    people = np.arange(2, dtype=np.int32)
    swaps = SwapBatch(*(picture(k / 8) for k in range(5)), people, people + 5)
    batch = from_swaps(swaps, np.array([True, False]))
    assert batch.driver.motion_view[:, 0, 0, 0].tolist() == [2 / 8, 1 / 8]  # own image, driver's
    targets = batch.targets
    images = batch.source.image, batch.driver.image, targets.pose_only, targets.dyn_only
    for image, value in zip(images, (0, 2, 3, 4), strict=True):
        assert (image == value / 8).all()
    assert (batch.driver.pose.rotation == 2 / 8).all()  # of the one who is drawn
    assert batch.identity.tolist() == [0, 1]
    assert batch.gaze_present is None
