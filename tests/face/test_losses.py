"""The whole objective on toy face models: what each loss moves and what it must not."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.config import apply_overrides, get_config
from vasa_jax.errors import UserError
from vasa_jax.face import batch as face_batch
from vasa_jax.face import losses
from vasa_jax.face.compose import Composed, shrink
from vasa_jax.face.discriminator import Discriminator
from vasa_jax.face.exact import choice_loss, from_swaps, moved_loss
from vasa_jax.face.flow import flow_loss, hidden_loss, share_loss
from vasa_jax.face.model import FaceModel
from vasa_jax.loss_config import FaceLossConfig
from vasa_jax.perception.align import Alignment
from vasa_jax.perception.identity import IdentityNetwork
from vasa_jax.typing import Motion, Pose, Source

SIZE, B = 32, 4
TEMPLATE = ((5.0, 5.0), (11.0, 5.0), (8.0, 8.0), (6.0, 12.0), (10.0, 12.0))
RNG = np.random.default_rng(0)
EYE = jnp.asarray(RNG.normal(size=(16 * 16 * 3, 6)) * 0.1, jnp.float32)
IDENTITY = IdentityNetwork(
    lambda chips: (chips.reshape(chips.shape[0], -1) @ EYE, (chips[:, ::2, ::2] * 2,)),
    Alignment(TEMPLATE, 16),
)
NETWORKS = losses.FaceNetworks(
    vgg=lambda x: tuple(nn.avg_pool(x, (n, n), (n, n)) for n in (1, 2, 4, 8, 16)),
    identity=IDENTITY,
    judge=None,
)
CONFIG = dataclasses.replace(
    FaceLossConfig(),
    adversarial=dataclasses.replace(FaceLossConfig().adversarial, weight=0.0, feature_matching=0.0),
)
BATCH = jax.tree.map(
    jnp.asarray,
    face_batch.random(apply_overrides(get_config("debug"), [f"face.image_size={SIZE}"]), B),
)


def only(**weights):
    """CONFIG with every weight 0 but those named."""
    sections = {
        f.name: dataclasses.replace(getattr(CONFIG, f.name), weight=weights.get(f.name, 0.0))
        for f in dataclasses.fields(CONFIG)
        if f.name != "masked"
    }
    return dataclasses.replace(CONFIG, **sections)


class Toy(nn.Module):
    """A face model of matrices. Entangled: it decodes the pose of the image its source came from.

    An image is base[identity pixel 0] + pose . P + dyn . D, so the factored model can be exact.
    """

    entangled: bool = False

    def setup(self):
        self.dyn_head = nn.Dense(6)
        self.pose_head = nn.Dense(7)
        self.appearance = nn.Dense(16)
        self.paint = nn.Dense(SIZE * SIZE * 3)

    def encode_motion(self, image):
        x = image.reshape(image.shape[0], -1)
        p = self.pose_head(x)
        return Motion(Pose(p[:, :3], p[:, 3:6], p[:, 6:]), self.dyn_head(x))

    def encode_source(self, image, motion):
        # Factored: only what two frames of one clip share, here the corner pixel.
        x = image.reshape(image.shape[0], -1) if self.entangled else image[:, 0, 0]
        volume = self.appearance(x)[:, None, None, None]
        return Source(volume, volume[:, 0])

    def decode(self, source, motion):
        x = [source.volume[:, 0, 0, 0], *motion.pose, motion.dyn]
        y = self.paint(jnp.concatenate(x, -1))
        return nn.sigmoid(y).reshape(-1, SIZE, SIZE, 3)

    def decode_parts(self, source, motion):
        picture = self.decode(source, motion)
        return Composed(picture, 1 - nn.avg_pool(picture, (2, 2), (2, 2)))

    def __call__(self, image):
        motion = self.encode_motion(image)
        return self.decode(self.encode_source(image, motion), motion)


def variables(toy):
    return toy.init(jax.random.key(0), BATCH.source)


def value_and_grad(config, batch=BATCH, toy=None, networks=NETWORKS, step=None):
    toy = toy or Toy(entangled=True)

    def loss(params):
        face = losses.bind(toy, {"params": params})
        out = losses.draw(config, face, batch)
        return losses.face_loss(config, batch, out, networks, step)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables(toy)["params"])


def moved(grads):
    return {k for k, v in grads.items() if max(jnp.abs(x).max() for x in jax.tree.leaves(v)) > 0}


def test_total_is_the_weighted_sum_and_everything_is_named():
    (total, metrics), grads = value_and_grad(CONFIG)
    assert set(metrics) == {
        f"loss/{n}" for n in ("pixel", "self_pixel", "perceptual", "self_perceptual",
                              "face_features", "eyes", "mouth", "contrast", "consistency",
                              "cross_identity", "total")
    }  # fmt: skip
    m = {k.removeprefix("loss/"): float(v) for k, v in metrics.items()}
    want = (
        m["pixel"] + m["self_pixel"] + 20 * (m["perceptual"] + m["self_perceptual"])
        + 4 * m["face_features"] + 5 * (m["eyes"] + m["mouth"]) + 2 * m["contrast"]
        + m["consistency"] + 5 * m["cross_identity"]
    )  # fmt: skip
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
        ("exact", {"dyn_head", "pose_head", "appearance", "paint"}),
    ],
)
def test_each_loss_moves_its_parts(name, parts):
    _, grads = value_and_grad(only(**{name: 1.0}))
    assert moved(grads) == parts


def test_zero_weights_draw_nothing_extra():
    out = losses.draw(only(pixel=1.0), losses.bind(Toy(), variables(Toy())), BATCH)
    assert out.itself is out.cross is out.consist_a is out.dyn_cross is None


def test_consistency_vanishes_only_for_factored_models():
    # One clip shares the corner pixel, and nothing else.
    batch = BATCH._replace(driver=BATCH.driver.at[:, 0, 0].set(BATCH.source[:, 0, 0]),
                           source_view=None, driver_view=None)  # fmt: skip
    config = only(consistency=1.0)
    (factored, _), _ = value_and_grad(config, batch, Toy(entangled=False))
    (entangled, _), _ = value_and_grad(config, batch, Toy(entangled=True))
    assert float(factored) < 1e-6
    assert float(entangled) > 1e-2


def test_exact_transfers_are_measured_against_their_own_renders():
    batch, config = BATCH._replace(source_view=None, driver_view=None), only(exact=1.0)
    toy = Toy(entangled=False)
    face = losses.bind(toy, variables(toy))
    out = losses.draw(config, face, batch)
    assert out.consist_a is None
    # What the model draws, with each factor from the right frame, is what a perfect render equals.
    a, b = face.encode_motion(batch.source), face.encode_motion(batch.driver)
    source = face.encode_source(batch.source, a)
    pose_only, dyn_only = (face.decode(source, Motion(*m)) for m in ((b[0], a[1]), (a[0], b[1])))
    right = batch._replace(pose_only=pose_only, dyn_only=dyn_only)
    wrong = batch._replace(pose_only=dyn_only, dyn_only=pose_only)
    total, metrics = losses.face_loss(config, right, out, NETWORKS)
    assert float(total) < 1e-5
    assert set(metrics) == {"loss/pose_only", "loss/dyn_only", "loss/total"}
    assert float(losses.face_loss(config, wrong, out, NETWORKS)[0]) > 1e-2


def test_what_the_expression_moves_counts_by_how_far_it_moves():
    b, size = 2, 8
    flat = lambda v: jnp.full((b, size, size, 3), v)  # noqa: E731
    lips = jnp.zeros((size, size, 1)).at[5:7, 2:6].set(0.4).at[5, 2].set(0.2)
    batch = BATCH._replace(source=flat(0.5), dyn_only=flat(0.5) + lips, driver=flat(0.3) + lips,
                           pose_only=flat(0.3))  # fmt: skip
    right = batch.driver, batch.pose_only, batch.dyn_only
    assert float(moved_loss(batch, *right)) == 0
    # A face that never moves: the mean change, each pixel weighted by its own.
    still = moved_loss(batch, batch.pose_only, batch.driver, batch.source)
    np.testing.assert_allclose(still, (7 * 0.4**2 + 0.2**2) / (7 * 0.4 + 0.2), rtol=1e-5)
    # Nothing outside of what moves counts.
    noise = jnp.where(lips > 0, 0.0, 0.3)
    assert float(moved_loss(batch, *(x + noise for x in right))) == 0
    out = losses.draw(only(exact=1.0), losses.bind(Toy(), variables(Toy())), BATCH)
    config = only(exact=1.0)
    config = dataclasses.replace(config, exact=dataclasses.replace(config.exact, moved=2.0))
    total, metrics = losses.face_loss(config, BATCH, out, NETWORKS)
    without, _ = losses.face_loss(only(exact=1.0), BATCH, out, NETWORKS)
    want = moved_loss(BATCH, out.same, out.pose_only, out.dyn_only)
    np.testing.assert_allclose(metrics["loss/moved"], want, rtol=1e-6)
    np.testing.assert_allclose(total - without, 2 * want, rtol=1e-4)


def test_what_the_decoder_draws_alone_has_the_same_targets():
    """At half the picture's size: a decoder that draws all targets right, and one that is off."""
    bare = BATCH._replace(driver_flow=None, pose_only_flow=None, dyn_only_flow=None)
    config = only(exact=1.0)
    config = dataclasses.replace(config, exact=dataclasses.replace(config.exact, drawn=2.0))
    out = losses.draw(config, losses.bind(Toy(), variables(Toy())), BATCH)
    half = SIZE // 2
    assert losses.draw(only(exact=1.0), losses.bind(Toy(), variables(Toy())), BATCH).parts is None
    for part, picture in zip(out.parts, (out.same, out.pose_only, out.dyn_only), strict=True):
        np.testing.assert_array_equal(part.picture, picture)
        np.testing.assert_allclose(part.drawn, 1 - nn.avg_pool(picture, (2, 2), (2, 2)), atol=1e-6)
    targets = [shrink(x, half) for x in (BATCH.driver, BATCH.pose_only, BATCH.dyn_only)]

    def drawing(error):
        return out._replace(
            parts=tuple(
                p._replace(drawn=x + error) for p, x in zip(out.parts, targets, strict=True)
            )
        )

    _, metrics = losses.face_loss(config, bare, drawing(0), NETWORKS)
    assert float(metrics["loss/drawn"]) == 0
    off = drawing(0.1)
    total, metrics = losses.face_loss(config, bare, off, NETWORKS)
    exact = config.exact
    np.testing.assert_allclose(
        metrics["loss/drawn"], 0.1 * (exact.pixel + exact.regions), rtol=1e-4
    )
    without, _ = losses.face_loss(only(exact=1.0), bare, off._replace(parts=None), NETWORKS)
    np.testing.assert_allclose(total - without, 2 * metrics["loss/drawn"], rtol=1e-4)


def test_shares_are_drawn_to_the_layer_that_is_right():
    """Three layers, each right in a third of the picture; where all are, nothing is asked."""
    config = only(exact=1.0)
    target, points = BATCH.driver, BATCH.driver_points
    right = jnp.arange(SIZE)[:, None] // (SIZE // 4) == jnp.array([0, 1, 2])  # last quarter: none
    wrong = jnp.where(right.any(-1, keepdims=True), ~right, False)[:, None, :, None]
    layers = target[..., None, :] + jnp.where(wrong, 0.2, 0.0)
    even = jnp.zeros((B, SIZE, SIZE, 3))
    loss = lambda s, x=layers, p=points: choice_loss(config, x, s, target, p)  # noqa: E731
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
    config = only(exact=1.0)
    config = dataclasses.replace(config, exact=dataclasses.replace(config.exact, choice=3.0))
    out = losses.draw(config, losses.bind(Toy(), variables(Toy())), BATCH)
    _, metrics = losses.face_loss(config, BATCH, out, NETWORKS)
    assert "loss/choice" not in metrics  # a decoder that draws everything has nothing to choose
    layers = jnp.asarray(RNG.uniform(size=(B, SIZE, SIZE, 3, 3)), jnp.float32)
    shares = jnp.asarray(RNG.normal(size=(B, SIZE, SIZE, 3)), jnp.float32)
    parts = tuple(p._replace(layers=layers, shares=shares) for p in out.parts)
    total, metrics = losses.face_loss(config, BATCH, out._replace(parts=parts), NETWORKS)
    renders = ((BATCH.driver, BATCH.driver_points), (BATCH.pose_only, BATCH.driver_points),
               (BATCH.dyn_only, BATCH.source_points))  # fmt: skip
    want = np.mean([choice_loss(config, layers, shares, *render) for render in renders])
    np.testing.assert_allclose(metrics["loss/choice"], want, rtol=1e-5)
    without, _ = losses.face_loss(only(exact=1.0), BATCH, out, NETWORKS)
    np.testing.assert_allclose(total - without, 3 * want, rtol=1e-4)


def test_flows_and_shares_count_for_each_exact_render():
    config = only(exact=1.0)
    config = dataclasses.replace(
        config, exact=dataclasses.replace(config.exact, flow=3.0, shares=2.0, drawn=1.0)
    )
    out = losses.draw(config, losses.bind(Toy(), variables(Toy())), BATCH)
    flow = jnp.asarray(RNG.uniform(-1, 1, size=(B, SIZE, SIZE, 2)), jnp.float32)
    shares = jnp.asarray(RNG.normal(size=(B, SIZE, SIZE, 3)), jnp.float32)
    parts = tuple(p._replace(flow=flow * k, shares=shares * k, drawn=p.picture)
                  for k, p in enumerate(out.parts, 1))  # fmt: skip
    out = out._replace(parts=parts)
    truths = (BATCH.driver_flow, BATCH.pose_only_flow, BATCH.dyn_only_flow)
    targets = (BATCH.driver, BATCH.pose_only, BATCH.dyn_only)
    points = (BATCH.driver_points, BATCH.driver_points, BATCH.source_points)
    config = dataclasses.replace(config, exact=dataclasses.replace(config.exact, flow_regions=0.5))
    total, metrics = losses.face_loss(config, BATCH, out, NETWORKS)
    for name, loss, regions in (("flow", flow_loss, 0.5), ("shares", share_loss, 5.0)):
        want = np.mean([loss(*one, regions) for one in zip(parts, truths, points, strict=True)])
        np.testing.assert_allclose(metrics[f"loss/{name}"], want, rtol=1e-5)
    # Of what is drawn, what is hidden counts.
    more = [hidden_loss(p.drawn, x, t, o, config.exact.regions)
            for p, x, t, o in zip(parts, targets, truths, points, strict=True)]  # fmt: skip
    np.testing.assert_allclose(metrics["loss/drawn"], np.mean(more), rtol=1e-5)
    bare = BATCH._replace(driver_flow=None, pose_only_flow=None, dyn_only_flow=None)
    off = dataclasses.replace(config, exact=dataclasses.replace(config.exact, flow=0.0, shares=0.0))
    whole, plain = losses.face_loss(off, bare, out, NETWORKS)
    extra = metrics["loss/drawn"] - plain["loss/drawn"]
    want = 3 * metrics["loss/flow"] + 2 * metrics["loss/shares"] + extra
    np.testing.assert_allclose(total - whole, want, rtol=1e-4)
    with pytest.raises(UserError, match="needs groups of swaps that tell places"):
        losses.face_loss(config, bare, out, NETWORKS)


def test_known_motion_takes_the_encoders_place():
    toy = Toy()
    face = losses.bind(toy, variables(toy))
    known = tuple(face.encode_motion(x) for x in (BATCH.driver, BATCH.source))
    blind = face._replace(encode_motion=None)
    out = losses.draw(only(pixel=1.0), blind, BATCH, known)
    want = face.decode(face.encode_source(BATCH.source, known[0]), known[1])
    np.testing.assert_allclose(out.same, want, rtol=1e-6)


def test_without_exact_renders_there_is_no_exact_loss():
    (total, metrics), _ = value_and_grad(only(exact=1.0), BATCH._replace(pose_only=None))
    assert float(total) == 0
    assert set(metrics) == {"loss/total"}


def test_swaps_become_a_batch_that_reads_motion_from_another_person():
    def picture(value):
        pose = Pose(*(np.full((2, n), value, np.float32) for n in (3, 3, 1)))
        return face_batch.Rendered(np.full((2, 8, 8, 3), value, np.float32), pose)

    people = np.arange(2, dtype=np.int32)
    swaps = face_batch.SwapBatch(*(picture(k / 8) for k in range(5)), people, people + 5)
    batch = from_swaps(swaps, np.array([True, False]))
    assert batch.driver_view[:, 0, 0, 0].tolist() == [2 / 8, 1 / 8]  # own picture, the driver's
    for name, value in (("source", 0), ("driver", 2), ("pose_only", 3), ("dyn_only", 4)):
        assert (getattr(batch, name) == value / 8).all()
    assert (batch.driver_pose.rotation == 2 / 8).all()  # of the one who is drawn
    assert batch.identity.tolist() == [0, 1]
    assert batch.gaze_present is None


def test_same_person_makes_no_cross_pair():
    assert losses.strangers(jnp.asarray([0, 0, 1, 2])).tolist() == [1, 0, 1, 1]
    batch = BATCH._replace(identity=jnp.zeros(B, jnp.int32))
    (total, _), grads = value_and_grad(only(contrast=1.0, cross_identity=1.0), batch)
    assert float(total) == 0
    assert moved(grads) == set()


def test_cross_pairs_carry_the_right_motion():
    """dyn_cross rolled back belongs to the driver of the same row, as L_cos needs."""
    face = losses.FaceFunctions(
        encode_motion=lambda x: Motion(
            Pose(jnp.zeros((B, 3)), jnp.zeros((B, 3)), jnp.zeros((B, 1))), x[:, 0, 0, :1]
        ),
        encode_source=lambda x, m: Source(x[:, None], x[:, :1, :1]),
        # The drawn image shows its motion in the first pixel, its person in the second.
        decode_parts=lambda s, m: Composed(*2 * (s.volume[:, 0].at[:, 0, 0, :1].set(m.dyn),)),
    )
    batch = BATCH._replace(driver_view=None, source_view=None)
    out = losses.draw(CONFIG, face, batch)
    z = batch.driver[:, 0, 0, :1]
    np.testing.assert_array_equal(out.dyn_same, z)
    np.testing.assert_array_equal(jnp.roll(out.dyn_cross, -1, 0), z)
    np.testing.assert_array_equal(out.cross[:, 1, 1], batch.source[:, 1, 1])


def test_late_losses_start_late():
    config = only(consistency=1.0)
    values = [float(value_and_grad(config, step=s)[0][0]) for s in (0, 14_999, 40_000)]
    full = float(value_and_grad(config)[0][0])
    np.testing.assert_allclose(values, [0, full / 2, full], rtol=1e-3)


def test_background_is_not_drawn():
    mask = jnp.zeros((B, SIZE, SIZE, 1)).at[:, 8:24, 8:24].set(1.0)
    batch = BATCH._replace(driver_mask=mask, source_mask=mask)
    config = only(pixel=1.0, perceptual=1.0, face_features=1.0, eyes=1.0, mouth=1.0)
    out = losses.draw(config, losses.bind(Toy(), variables(Toy())), batch)

    def loss(same, masked):
        new = dataclasses.replace(config, masked=masked)
        return losses.face_loss(new, batch, out._replace(same=same), NETWORKS)[0]

    grad = jax.jit(jax.grad(loss), static_argnums=1)
    inside, everywhere = grad(out.same, True), grad(out.same, False)
    assert jnp.abs(inside * (1 - mask)).max() == 0
    assert jnp.abs(inside * mask).max() > 0
    assert jnp.abs(everywhere * (1 - mask)).max() > 0


def test_adversarial_terms_reach_the_drawn_image():
    model = Discriminator(1, (4, 4))
    spectral = jax.jit(model.init)(jax.random.key(0), BATCH.driver)
    networks = NETWORKS._replace(judge=lambda x: model.apply(spectral, x))
    off = only(pixel=1.0)
    config = dataclasses.replace(
        off, adversarial=dataclasses.replace(off.adversarial, weight=1.0, feature_matching=40.0,
                                             start=10)
    )  # fmt: skip
    (total, m), grads = value_and_grad(config, networks=networks)
    want = m["loss/pixel"] + m["loss/adversarial"] + 40 * m["loss/feature_matching"]
    assert float(total) == pytest.approx(float(want), rel=1e-5)
    assert "paint" in moved(grads)
    (early, m), _ = value_and_grad(config, networks=networks, step=9)
    assert float(early) == pytest.approx(float(m["loss/pixel"]), rel=1e-6)
    real, fake = losses.judged_pair(config, BATCH, BATCH.source)
    assert jnp.abs(real * (1 - BATCH.driver_mask)).max() == 0
    assert jnp.abs(fake * (1 - BATCH.driver_mask)).max() == 0


def test_what_is_missing_is_named():
    out = losses.draw(CONFIG, losses.bind(Toy(), variables(Toy())), BATCH)

    def fail(match, batch=BATCH, networks=NETWORKS, config=CONFIG):
        with pytest.raises(UserError, match=match):
            losses.face_loss(config, batch, out, networks)

    fail("perceptual.weight=0", networks=losses.FaceNetworks())
    fail("driver_points", BATCH._replace(driver_points=None))
    fail("source_points", BATCH._replace(source_points=None))
    fail(
        "a discriminator",
        config=dataclasses.replace(only(), adversarial=FaceLossConfig().adversarial),
    )
    fail("gaze head", config=only(gaze=1.0))


def test_a_bare_batch_is_enough_for_reconstruction():
    bare = face_batch.FaceBatch(BATCH.source, BATCH.driver, BATCH.identity)
    config = only(pixel=1.0, perceptual=1.0, self_drive=1.0, contrast=1.0, consistency=1.0,
                  pose=1.0, gaze=1.0)  # fmt: skip
    (total, metrics), _ = value_and_grad(config, bare)
    assert jnp.isfinite(total)
    assert "loss/pose" not in metrics


def test_random_batch_has_the_shapes_of_the_fake_one():
    config = get_config("debug")
    fake, real = face_batch.fake(config, 3), face_batch.random(config, 3, seed=1)
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, fake, real)
    assert all(jax.tree.leaves(same))
    assert not np.array_equal(real.source, face_batch.random(config, 3, seed=2).source)


def test_the_real_model_fits_at_full_size():
    """Shapes only: FaceModel, all losses and the discriminator at 512 px."""
    config = get_config("vasa1")
    model, judge = FaceModel(config.face), Discriminator()
    fake = face_batch.fake(config, 2)
    params = jax.eval_shape(model.init, jax.random.key(0), fake.source, fake.driver)
    spectral = jax.eval_shape(judge.init, jax.random.key(0), fake.source)

    def loss(params, spectral, batch):
        out = losses.draw(config.face_losses, losses.bind(model, params), batch)
        networks = NETWORKS._replace(judge=lambda x: judge.apply(spectral, x))
        return losses.face_loss(config.face_losses, batch, out, networks, jnp.zeros((), int))

    total, metrics = jax.eval_shape(loss, params, spectral, fake)
    assert total.shape == ()
    assert total.dtype == jnp.float32
    assert len(metrics) == 13
