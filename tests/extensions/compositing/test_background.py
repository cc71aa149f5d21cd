"""The portrait with the person taken out: on cases whose answer is known, and within the model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vasa_jax.config import get_config
from vasa_jax.extensions.build import build_face_model
from vasa_jax.extensions.compositing.background import (
    MARGIN,
    foreground_loss,
    inpaint_background,
    own_background,
)
from vasa_jax.extensions.compositing.blend import (
    INITIAL_LOGITS,
    CompositeOutput,
    DecoderLayers,
    blend,
)
from vasa_jax.extensions.compositing.flow_losses import SEEN, blend_mask_loss, disocclusion_loss
from vasa_jax.face.pose import identity_pose
from vasa_jax.face.sampling import identity_grid
from vasa_jax.typing import Motion

RNG = np.random.default_rng(0)
ONLY = 50.0


def disc(size, radius=0.4):
    x, y = np.meshgrid(*[np.linspace(-1, 1, size)] * 2)
    return (x**2 + y**2 < radius**2)[None, :, :, None]


def logits(there):
    return jnp.asarray(np.where(there, ONLY, -ONLY), jnp.float32)


def test_of_a_plain_background_the_person_goes_without_a_trace():
    plain = np.broadcast_to(np.float32([0.2, 0.5, 0.7]), (1, 64, 64, 3))
    noisy = np.where(disc(64), RNG.uniform(size=plain.shape), plain)
    found = inpaint_background(jnp.asarray(noisy, jnp.float32), logits(disc(16, 0.6)))
    np.testing.assert_allclose(found, plain, atol=1e-4)


def test_background_is_kept_and_a_slope_goes_on_behind_the_person():
    slope = np.broadcast_to(np.linspace(0, 1, 64)[None, None, :, None], (1, 64, 64, 3))
    noisy = jnp.asarray(np.where(disc(64), 0.0, slope), jnp.float32)
    found = inpaint_background(noisy, logits(disc(16, 0.6)))
    far = ~disc(64, 0.8)[..., 0]
    np.testing.assert_allclose(found[far], slope[far], atol=1e-6)
    behind = disc(64, 0.3)[..., 0]
    assert np.abs(found - slope)[behind].max() < 0.15  # the mean would be off by 0.15, noise by 0.5
    assert np.corrcoef(found[behind][:, 0], slope[behind][:, 0])[0, 1] > 0.9


def test_nothing_but_person_leaves_numbers():
    portrait = jnp.asarray(RNG.uniform(size=(2, 32, 32, 3)), jnp.float32)
    found = inpaint_background(portrait, jnp.full((2, 8, 8, 1), ONLY))
    assert np.isfinite(found).all()
    assert 0.3 < float(found.min()) < float(found.max()) < 0.7
    grad = jax.grad(lambda p: inpaint_background(portrait, p).sum())(jnp.full((2, 8, 8, 1), -1.0))
    assert np.isfinite(grad).all()
    assert np.abs(grad).max() > 0


def composed(size, *, moved=0.0, drawn=0.0, plate=0.0, still=0.0):
    """A picture with these logits, each a number or one a pixel."""
    parts = [np.broadcast_to(np.float32(x), (1, size, size)) for x in (moved, still, drawn, plate)]
    none = jnp.zeros((1, size, size, 3))
    return CompositeOutput(none, None, jnp.asarray(np.stack(parts, -1)))


def test_what_the_plate_shows_of_the_own_picture_is_the_portrait_but_for_a_rim():
    there = disc(128, 0.5)[..., 0]
    made = composed(128, moved=ONLY * there, plate=ONLY * ~there, still=2 * ONLY)
    portrait = np.where(there[..., None], 0.9, RNG.uniform(0, 0.3, (1, 128, 128, 3)))
    found = own_background(jnp.asarray(portrait, jnp.float32), made, 16)
    around = 2 * round(MARGIN * 128) + 1
    kept = ~ndimage.binary_dilation(there[0], np.ones((around, around)))
    np.testing.assert_allclose(found[0][kept], portrait[0][kept], atol=1e-6)
    # Behind the person nothing of it is left: colours as they are around.
    assert float(found[0][there[0]].max()) < 0.3
    assert np.abs(found[0][there[0]] - 0.15).max() < 0.1


def test_a_drawn_pixel_is_no_background_either():
    portrait = jnp.asarray(RNG.uniform(size=(1, 32, 32, 3)), jnp.float32)
    for layer in ("moved", "drawn"):
        found = own_background(portrait, composed(32, **{layer: ONLY}), 8)
        assert np.isfinite(found).all()
        assert float(found.max() - found.min()) < 0.5  # filled from nothing known: no texture
    found = own_background(portrait, composed(32, plate=ONLY), 8)
    np.testing.assert_allclose(found, portrait, atol=1e-6)


@pytest.mark.parametrize("plate", [True, False])
def test_a_portrait_for_inference_differs_in_its_plate_alone(plate):
    settings = [
        "face.extensions.compositing=true",
        f"face.extensions.background={str(plate).lower()}",
    ]
    config = get_config("debug", settings).face
    image = jnp.asarray(RNG.uniform(size=(1, config.image_size, config.image_size, 3)), jnp.float32)
    model = build_face_model(config)
    params = {"params": jax.jit(model.init)(jax.random.key(0), image, image)["params"]}
    plain, found = (
        jax.jit(lambda x, m=method: model.apply(params, x, method=m))(image)
        for method in ("encode_source", "encode_portrait")
    )
    kept = plain.extension
    same = found._replace(extension=found.extension._replace(background=kept.background))
    jax.tree.map(np.testing.assert_array_equal, same, plain)
    if not plate:
        return
    motion = model.apply(params, image, method="encode_motion")
    own = model.apply(params, plain, motion, method="decode_parts")
    want = own_background(image, own.parts, kept.foreground_logits.shape[1])
    np.testing.assert_allclose(found.extension.background, want, atol=1e-4)


def test_a_cell_beside_the_person_is_no_background():
    mask = np.zeros((1, 64, 64, 1), np.float32)
    mask[:, 20:40, 24:44] = 1
    grad = jax.grad(lambda x: foreground_loss(x, jnp.asarray(mask)))(jnp.zeros((1, 16, 16, 1)))
    # The same with scipy: cells whose middle is near the mask, and all beside them.
    place = np.linspace(0, 63, 16)
    around = [slice(int(max(0, p - 2)), int(p + 3)) for p in place]
    near = np.array([[mask[0, y, x].any() for x in around] for y in around])
    want = ndimage.binary_dilation(near, np.ones((3, 3)))
    np.testing.assert_array_equal(np.asarray(grad)[0, ..., 0] < 0, want)
    assert float(foreground_loss(logits(want[None, :, :, None]), jnp.asarray(mask))) < 1e-6


def test_its_share_alone_gives_the_plate():
    portrait, plate = (jnp.asarray(RNG.uniform(size=(1, 16, 16, 3)), jnp.float32) for _ in "ab")
    shares = jnp.zeros((2, 16, 16, 4)) - jnp.array(INITIAL_LOGITS) + ONLY * jnp.eye(4)[3]
    none = jnp.zeros((2, 16, 16, 3))
    layers = DecoderLayers(none, shares, jnp.zeros((2, 4, 4, 3)), none[..., :2], none[..., :1])
    places = jnp.broadcast_to(identity_grid(3, 4, 4), (2, 3, 4, 4, 3))
    image, made = blend(layers, places, portrait, plate)
    np.testing.assert_allclose(image, jnp.repeat(plate, 2, 0), atol=1e-6)
    assert made.layers.shape == (2, 16, 16, 4, 3)
    np.testing.assert_array_equal(made.layers[..., 3, :], jnp.repeat(plate, 2, 0))


def known(seen, person):
    """Four columns of truth."""
    column = np.arange(32) // 8
    axis = (np.arange(32) + 0.5) / 32
    x, y = np.meshgrid(axis, axis)
    x = x + 0.1 * (column == 0)
    flags = [np.broadcast_to(np.float32(v)[column], (32, 32)) for v in (seen, person)]
    return jnp.asarray(np.stack([x, y, *flags], -1)[None], jnp.float32)


def test_with_a_plate_hidden_background_is_its_own():
    """Columns: the person moved, background, hidden background, hidden person."""
    truth = known((1, 1, 0, 0), (1, 0, 0, 1))
    column = np.arange(32) // 8
    _, made = blend(
        DecoderLayers(
            jnp.zeros((1, 32, 32, 3)),
            jnp.zeros((1, 32, 32, 4)),
            jnp.zeros((1, 4, 4, 3)),
            jnp.zeros((1, 32, 32, 2)),
            jnp.zeros((1, 32, 32, 1)),
        ),
        jnp.broadcast_to(identity_grid(3, 4, 4), (1, 3, 4, 4, 3)),
        jnp.zeros((1, 32, 32, 3)),
        jnp.zeros((1, 32, 32, 3)),
    )
    loss = lambda s: blend_mask_loss(made._replace(blend_logits=s), truth, None, 0.0).value  # noqa: E731
    push = -np.asarray(jax.grad(loss)(jnp.zeros((1, 32, 32, 4))))[0, 0]
    signs = [[1, -1, -1, -1], [-1, 1, -1, 1], [-1, -1, -1, 1], [-1, -1, 1, -1]]
    np.testing.assert_array_equal(np.sign(push), np.array(signs)[column])
    # The decoder is asked for the hidden person, and for the rest a little.
    target = jnp.zeros((1, 32, 32, 3))
    for col in range(4):
        off = jnp.asarray(np.where(column == col, 0.4, 0.0)[None, None, :, None] + target)
        weight = (SEEN + (col == 3)) / (4 * SEEN + 1)
        found = float(
            disocclusion_loss(target + off, target, truth, None, 0.0, background=True).value
        )
        assert found == pytest.approx(0.4 * weight, rel=1e-4)


def test_a_plate_joins_a_trained_model_and_is_learned():
    """It brings the person's parameters and one convolution; each feels the picture."""
    settings = ["face.extensions.compositing=true", "face.extensions.background=true"]
    config = get_config("debug", settings).face
    size = config.image_size
    image = jnp.asarray(RNG.uniform(size=(1, size, size, 3)), jnp.float32)
    whole, plain = (
        build_face_model(config),
        build_face_model(
            dataclasses.replace(
                config, extensions=dataclasses.replace(config.extensions, background=False)
            )
        ),
    )
    params, before = (
        jax.jit(model.init)(jax.random.key(0), image, image)["params"] for model in (whole, plain)
    )
    assert set(params) - set(before) == {"person"}
    assert set(params["decoder"]) - set(before["decoder"]) == {"plate"}
    dyn = jnp.zeros((1, config.dyn_dim))
    rest = Motion(identity_pose(1), dyn)
    turned = Motion(identity_pose(1)._replace(rotation=jnp.array([[0.1, 0.4, 0.0]])), dyn)

    def run(params):
        source = whole.apply({"params": params}, image, rest, method="encode_source")
        return whole.apply({"params": params}, source, turned, method="decode_parts")

    made = run(params).parts
    assert made.layers.shape[-2:] == (4, 3)
    assert made.foreground_logits.shape == (1, config.volume_size, config.volume_size, 1)
    share = jax.nn.softmax(made.blend_logits, -1)[..., 3]
    assert float(share.max()) < 0.1
    params["person"]["head"]["bias"] = jnp.array([-1.0])  # half of each cell, not none
    grad = jax.grad(lambda p: run(p).image[..., 0].mean())(params)
    assert np.abs(grad["decoder"]["plate"]["kernel"]).max() > 0
    assert np.abs(grad["person"]["head"]["kernel"]).max() > 0
