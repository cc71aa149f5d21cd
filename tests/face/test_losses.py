"""The whole objective on toy face models: what each loss moves and what it must not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.face.toy import (
    BATCH,
    CONFIG,
    NETWORKS,
    SIZE,
    B,
    Toy,
    changed,
    face_loss,
    moved,
    only,
    outputs_of,
    value_and_grad,
    variables,
)
from vasa_jax.config import get_config
from vasa_jax.config.losses import FaceLossConfig
from vasa_jax.errors import UserError
from vasa_jax.face import forward, losses
from vasa_jax.face.batch import FaceBatch, Frame
from vasa_jax.face.discriminator import Discriminator
from vasa_jax.face.model import Decoded, FaceModel
from vasa_jax.training import face_batches as face_batch
from vasa_jax.typing import Motion, Pose, Source


def test_total_is_the_weighted_sum_and_everything_is_named():
    (total, metrics), grads = value_and_grad(CONFIG)
    assert set(metrics) == {
        f"loss/{n}"
        for n in (
            "pixel",
            "self_pixel",
            "perceptual",
            "self_perceptual",
            "face_features",
            "eyes",
            "mouth",
            "contrast",
            "consistency",
            "cross_identity",
            "pose",
            "total",
        )
    }
    m = {k.removeprefix("loss/"): float(v) for k, v in metrics.items()}
    want = (
        m["pixel"]
        + m["self_pixel"]
        + 20 * (m["perceptual"] + m["self_perceptual"])
        + 4 * m["face_features"]
        + 5 * (m["eyes"] + m["mouth"])
        + 2 * m["contrast"]
        + m["consistency"]
        + 5 * m["cross_identity"]
        + 50 * m["pose"]
    )
    assert float(total) == pytest.approx(want, rel=1e-5)
    assert m["total"] == float(total)
    assert all(v > 0 for v in m.values())
    assert moved(grads) == {"dyn_head", "pose_head", "appearance", "paint"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cross_identity", {"dyn_head", "pose_head", "appearance", "paint"}),
        ("contrast", {"dyn_head", "pose_head", "appearance", "paint"}),
        ("consistency", {"dyn_head", "pose_head", "appearance", "paint"}),
        ("pose", {"pose_head"}),
        ("transfer", {"dyn_head", "pose_head", "appearance", "paint"}),
    ],
)
def test_each_loss_moves_its_parts(name, parts):
    _, grads = value_and_grad(only(**{name: 1.0}))
    assert moved(grads) == parts


def test_zero_weights_draw_nothing_extra():
    out = outputs_of(only(pixel=1.0), forward.bind(Toy(), variables(Toy())), BATCH)
    assert out.reconstructed is out.cross_driven is out.consistency_a is out.dyn_cross is None


def test_consistency_vanishes_only_for_factored_models():
    # One clip shares the corner pixel, and nothing else.
    batch = changed(
        BATCH,
        driver=BATCH.driver.image.at[:, 0, 0].set(BATCH.source.image[:, 0, 0]),
        source_view=None,
        driver_view=None,
    )
    config = only(consistency=1.0)
    (factored, _), _ = value_and_grad(config, batch, Toy(entangled=False))
    (entangled, _), _ = value_and_grad(config, batch, Toy(entangled=True))
    assert float(factored) < 1e-6
    assert float(entangled) > 1e-2


def test_decoding_in_a_loop_changes_no_loss_and_no_gradient():
    config = dataclasses.replace(CONFIG, self_drive=FaceLossConfig().self_drive)
    config = dataclasses.replace(
        config,
        transfer=dataclasses.replace(config.transfer, weight=1.0, perceptual=0.0, decoded=1.0),
    )
    toy, params = Toy(entangled=True), variables(Toy(entangled=True))["params"]

    def loss(params, scan):
        out = outputs_of(config, forward.bind(toy, {"params": params}), BATCH, scan=scan)
        return face_loss(config, BATCH, out, NETWORKS)

    run = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    (one, terms), grads = run(params, False)
    (two, again), looped = run(params, True)
    assert {"loss/self_pixel", "loss/drawn", "loss/contrast", "loss/consistency"} <= set(terms)
    np.testing.assert_allclose(two, one, rtol=1e-5)
    for name, value in terms.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-4, atol=1e-6)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)  # noqa: E731
    jax.tree.map(close, looped, grads)


def test_known_motion_takes_the_encoders_place():
    toy = Toy()
    face = forward.bind(toy, variables(toy))
    known = tuple(face.encode_motion(x) for x in (BATCH.driver.image, BATCH.source.image))
    blind = face._replace(encode_motion=None)
    out = outputs_of(only(pixel=1.0), blind, BATCH, known)
    want = face.decode(face.encode_source(BATCH.source.image, known[0]), known[1])
    np.testing.assert_allclose(out.driven, want, rtol=1e-6)


def test_same_person_makes_no_cross_pair():
    assert forward.different_identity_mask(jnp.asarray([0, 2, 0, 1])).tolist() == [0, 1, 0, 1]
    batch = changed(BATCH, identity=jnp.zeros(B, jnp.int32))
    (total, _), grads = value_and_grad(only(contrast=1.0, cross_identity=1.0), batch)
    assert float(total) == 0
    assert moved(grads) == set()


def test_cross_pairs_carry_the_right_motion():
    """dyn_cross of whom it was lent to belongs to the driver of the same row, as L_cos needs."""
    face = forward.FaceFunctions(
        encode_motion=lambda x: Motion(
            Pose(jnp.zeros((B, 3)), jnp.zeros((B, 3)), jnp.zeros((B, 1))), x[:, 0, 0, :1]
        ),
        encode_source=lambda x, m: Source(x[:, None], x[:, :1, :1]),
        # The drawn image shows its motion in the first pixel, its person in the second.
        decode_parts=lambda s, m: Decoded(s.volume[:, 0].at[:, 0, 0, :1].set(m.dyn)),
    )
    batch = changed(BATCH, driver_view=None, source_view=None)
    out = outputs_of(CONFIG, face, batch)
    z = batch.driver.image[:, 0, 0, :1]
    np.testing.assert_array_equal(out.dyn_same, z)
    np.testing.assert_array_equal(forward.partner(out.dyn_cross, back=True), z)
    np.testing.assert_array_equal(out.cross_driven[:, 1, 1], batch.source.image[:, 1, 1])


def test_late_losses_start_late():
    config = only(consistency=1.0)
    values = [float(value_and_grad(config, step=s)[0][0]) for s in (0, 14_999, 40_000)]
    full = float(value_and_grad(config)[0][0])
    np.testing.assert_allclose(values, [0, full / 2, full], rtol=1e-3)


def test_background_is_not_drawn():
    mask = jnp.zeros((B, SIZE, SIZE, 1)).at[:, 8:24, 8:24].set(1.0)
    batch = changed(BATCH, driver_mask=mask, source_mask=mask)
    config = only(pixel=1.0, perceptual=1.0, face_features=1.0, eyes=1.0, mouth=1.0)
    out = outputs_of(config, forward.bind(Toy(), variables(Toy())), batch)

    def loss(same, masked):
        new = dataclasses.replace(config, masked=masked)
        return face_loss(new, batch, out._replace(driven=same), NETWORKS)[0]

    grad = jax.jit(jax.grad(loss), static_argnums=1)
    inside, everywhere = grad(out.driven, True), grad(out.driven, False)
    assert jnp.abs(inside * (1 - mask)).max() == 0
    assert jnp.abs(inside * mask).max() > 0
    assert jnp.abs(everywhere * (1 - mask)).max() > 0


def test_adversarial_terms_reach_the_drawn_image():
    model = Discriminator(1, (4, 4))
    spectral = jax.jit(model.init)(jax.random.key(0), BATCH.driver.image)
    networks = NETWORKS._replace(discriminator=lambda x: model.apply(spectral, x))
    off = only(pixel=1.0)
    config = dataclasses.replace(
        off,
        adversarial=dataclasses.replace(
            off.adversarial, weight=1.0, feature_matching=40.0, start=10
        ),
    )
    (total, m), grads = value_and_grad(config, networks=networks)
    want = m["loss/pixel"] + m["loss/adversarial"] + 40 * m["loss/feature_matching"]
    assert float(total) == pytest.approx(float(want), rel=1e-5)
    assert "paint" in moved(grads)
    (early, m), _ = value_and_grad(config, networks=networks, step=9)
    assert float(early) == pytest.approx(float(m["loss/pixel"]), rel=1e-6)
    real, fake = losses.discriminator_inputs(config, BATCH, BATCH.source.image)
    assert jnp.abs(real * (1 - BATCH.driver.mask)).max() == 0
    assert jnp.abs(fake * (1 - BATCH.driver.mask)).max() == 0


def test_what_is_missing_is_named():
    out = outputs_of(CONFIG, forward.bind(Toy(), variables(Toy())), BATCH)

    def fail(match, batch=BATCH, networks=NETWORKS, config=CONFIG):
        with pytest.raises(UserError, match=match):
            face_loss(config, batch, out, networks)

    fail("perceptual.weight=0", networks=forward.FaceNetworks())
    fail("driver_points", changed(BATCH, driver_points=None))
    fail("source_points", changed(BATCH, source_points=None))
    fail(
        "a discriminator",
        config=dataclasses.replace(only(), adversarial=FaceLossConfig().adversarial),
    )


def test_pictures_and_faces_have_a_network_each():
    """MegaPortraits' pair: VGG19 on whole pictures, VGGFace on aligned faces, both at once."""
    seen = []

    def face(images, points):
        seen.append((images.shape, points.shape))
        return (images[:, ::2], images[:, :, ::4] * 3.0)

    config = only(perceptual=1.0, face_features=1.0)
    out = outputs_of(config, forward.bind(Toy(), variables(Toy())), BATCH)
    both = NETWORKS._replace(face=face)
    _, metrics = face_loss(config, BATCH, out, both)
    _, plain = face_loss(config, BATCH, out, NETWORKS)
    assert seen == 2 * [((B, SIZE, SIZE, 3), (B, 5, 2))]
    same, driver = (x * BATCH.driver.mask for x in (out.driven, BATCH.driver.image))
    want = np.mean(
        [
            jnp.abs(a - b).mean()
            for a, b in zip(
                face(same, BATCH.driver.points), face(driver, BATCH.driver.points), strict=True
            )
        ]
    )
    np.testing.assert_allclose(metrics["loss/face_features"], want, rtol=1e-5)
    assert abs(float(plain["loss/face_features"]) - want) > 1e-4
    np.testing.assert_allclose(metrics["loss/perceptual"], plain["loss/perceptual"], rtol=1e-6)
    # Without an identity network too, where no identity loss asks for one.
    face_loss(config, BATCH, out, both._replace(identity=None))


def test_a_bare_batch_is_enough_for_reconstruction():
    bare = FaceBatch(Frame(BATCH.source.image), Frame(BATCH.driver.image), BATCH.identity)
    config = only(
        pixel=1.0, perceptual=1.0, self_drive=1.0, contrast=1.0, consistency=1.0, pose=1.0, gaze=1.0
    )
    (total, metrics), _ = value_and_grad(config, bare)
    assert jnp.isfinite(total)
    assert "loss/pose" not in metrics


def test_random_batch_has_the_shapes_of_the_fake_one():
    config = get_config("debug")
    fake, real = face_batch.fake(config, 3), face_batch.random(config, 3, seed=1)
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, fake, real)
    assert all(jax.tree.leaves(same))
    assert not np.array_equal(real.source.image, face_batch.random(config, 3, seed=2).source.image)


def test_the_real_model_fits_at_full_size():
    """Shapes only: FaceModel, all losses and the discriminator at 512 px."""
    config = get_config("vasa1")
    model, discriminator = FaceModel(config.face), Discriminator()
    fake = face_batch.fake(config, 2)
    params = jax.eval_shape(model.init, jax.random.key(0), fake.source.image, fake.driver.image)
    spectral = jax.eval_shape(discriminator.init, jax.random.key(0), fake.source.image)

    def loss(params, spectral, batch):
        out = outputs_of(config.face_losses, forward.bind(model, params), batch)
        networks = NETWORKS._replace(discriminator=lambda x: discriminator.apply(spectral, x))
        return face_loss(config.face_losses, batch, out, networks, jnp.zeros((), int))

    total, metrics = jax.eval_shape(loss, params, spectral, fake)
    assert total.shape == ()
    assert total.dtype == jnp.float32
    assert len(metrics) == 14
