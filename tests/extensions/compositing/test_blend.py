"""Composing a picture: against torch, and on cases whose answer is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.config import get_config
from vasa_jax.extensions.build import build_face_model
from vasa_jax.extensions.compositing.blend import (
    INITIAL_LOGITS,
    INITIAL_RIGIDITY,
    RESIDUAL_LIMIT,
    DecoderLayers,
    blend,
)
from vasa_jax.extensions.compositing.decoder import (
    PRIOR_SIZE,
    VisibleDepthPrior,
    features_in_view,
)
from vasa_jax.extensions.compositing.resample import enlarge, shrink
from vasa_jax.face.conv import LayerOptions
from vasa_jax.face.motion import DynEncoder, PoseEncoder
from vasa_jax.face.pose import identity_pose
from vasa_jax.face.sampling import identity_grid
from vasa_jax.typing import Motion

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
ONLY = 50.0  # as a logit: all of the weight


def picture(*shape):
    return jnp.asarray(RNG.uniform(size=shape), jnp.float32)


def layers(shares, b=2, size=16, few=4, depth=3, seen=None):
    """Drawn noise; all of `shares` by one constant triple, all depth in slice `seen`."""
    logits = jnp.zeros((b, few, few, depth))
    if seen is not None:
        logits = logits.at[..., seen].set(ONLY)
    shares = jnp.array(shares) - jnp.array(INITIAL_LOGITS[:3])
    shares = jnp.broadcast_to(shares, (b, size, size, 3))
    none = jnp.zeros((b, size, size, 2))
    return DecoderLayers(picture(b, size, size, 3), shares, logits, none, none[..., :1] + ONLY)


def still(b=2, few=4, depth=3):
    return jnp.broadcast_to(identity_grid(depth, few, few), (b, depth, few, few, 3))


def test_enlarging_is_torch_interpolation_with_aligned_corners():
    x = RNG.normal(size=(2, 5, 4, 3)).astype(np.float32)
    want = torch.nn.functional.interpolate(
        torch.from_numpy(x).permute(0, 3, 1, 2), (16, 16), mode="bilinear", align_corners=True
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(enlarge(jnp.asarray(x), 16), want, atol=1e-6)


def test_shrinking_takes_the_mean_around_each_aligned_centre():
    slope = jnp.broadcast_to(jnp.linspace(-1, 1, 24)[:, None], (1, 24, 24, 1))
    found = shrink(slope, 12)[0, 3, 1:-1, 0]
    # A tenth of an old pixel: a fine step falls on whole pixels.
    np.testing.assert_allclose(found, jnp.linspace(-1, 1, 12)[1:-1], atol=0.1 * 2 / 23)
    np.testing.assert_array_equal(shrink(slope, 24), slope)
    # 2 n - 1 pixels to n: half a pixel, a pixel, half a pixel, every other one a centre.
    x = RNG.normal(size=(2, 31, 31, 3)).astype(np.float32)
    kernel = torch.from_numpy(np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]).astype(np.float32))
    inner = torch.from_numpy(x[:, 1:-1, 1:-1]).permute(0, 3, 1, 2)
    want = torch.nn.functional.conv2d(inner, kernel.expand(3, 1, 3, 3), stride=2, groups=3)
    found = shrink(jnp.asarray(x), 16)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(found, want.permute(0, 2, 3, 1), atol=1e-6)


def test_each_share_alone_gives_its_layer():
    portrait = picture(2, 16, 16, 3)
    for k in range(3):
        found = layers(np.where(np.arange(3) == k, ONLY, 0.0))
        want = portrait if k < 2 else found.image  # nothing moves: moved is the portrait too
        np.testing.assert_allclose(blend(found, still(), portrait)[0], want, atol=2e-6)


def test_moved_pixels_are_torch_grid_sample_of_the_slice_that_is_seen():
    portrait = picture(1, 16, 16, 3)
    places = still() + 0.3 * RNG.normal(size=(2, 3, 4, 4, 3)).astype(np.float32)
    found = blend(layers((ONLY, 0, 0), seen=1), places, portrait)[0]
    flow = enlarge(places[:, 1, :, :, :2], 16)
    want = torch.nn.functional.grid_sample(
        torch.from_numpy(np.array(portrait)).permute(0, 3, 1, 2).expand(2, -1, -1, -1),
        torch.from_numpy(np.array(flow)),
        align_corners=True,
        padding_mode="border",
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_a_shift_moves_single_pixels():
    portrait, step = picture(2, 16, 16, 3), 2 / 15
    found = layers((ONLY, 0, 0))
    shift = found.flow_residual.at[:, 5, 6].set(
        jnp.arctanh(jnp.array([step, 0.0]) / RESIDUAL_LIMIT)
    )
    drawn = blend(found._replace(flow_residual=shift), still(), portrait)[0]
    np.testing.assert_allclose(drawn[:, 5, 6], portrait[:, 5, 7], atol=1e-5)
    np.testing.assert_allclose(drawn[:, 5, 7], portrait[:, 5, 7], atol=2e-6)


def test_a_neck_goes_part_of_the_heads_way():
    """Rows that go all, half and none of a way of four pixels."""
    portrait, way = picture(2, 16, 16, 3), jnp.array([8 / 15, 0.0, 0.0])
    follow = jnp.array([ONLY, 0.0, -ONLY])[np.arange(16) * 3 // 16][None, :, None, None]
    found = layers((ONLY, 0, 0))
    found = found._replace(rigidity=jnp.broadcast_to(follow - INITIAL_RIGIDITY, (2, 16, 16, 1)))
    made, _ = blend(found, still() + way, portrait)
    for rows, step in ((slice(0, 6), 4), (slice(6, 11), 2), (slice(11, 16), 0)):
        want = portrait[:, rows, step:]
        np.testing.assert_allclose(made[:, rows, : 16 - step], want, atol=1e-5)


def test_what_is_seen_lies_at_the_front_of_the_head():
    front = jnp.full((PRIOR_SIZE, PRIOR_SIZE), 0.5)
    see = lambda grid: VisibleDepthPrior().apply({"params": {"front": front}}, grid)  # noqa: E731
    grid = still(1, 4, 9)  # depths -1, -0.75, ..., 1
    assert (jnp.argmax(see(grid), -1) == 6).all()  # at 0.5
    # The volume turned about: what was in front comes from behind.
    assert (jnp.argmax(see(-grid), -1) == 2).all()
    # As near to the front before as behind it: the camera sees what is before.
    coarse = still(1, 4, 9).at[..., 2].multiply(2)  # -2, -1.5, ..., 0, 0.5, 1: of two that are
    folded = jnp.abs(coarse)  # at 0.5 the first is nearer to the camera
    assert (jnp.argmax(see(folded), -1) == 3).all()
    # A slope: the front is looked up where the voxel lies in the head, not in the picture.
    slope = jnp.broadcast_to(jnp.linspace(-1, 1, PRIOR_SIZE), front.shape)
    flat = grid.at[..., 0].set(0.5)
    seen = VisibleDepthPrior().apply({"params": {"front": slope}}, flat)
    assert (jnp.argmax(seen, -1) == 6).all()


def test_the_hint_is_the_portraits_context_in_place_and_moved():
    context, depth, few = picture(1, 4, 4, 5), 3, 4
    places = still() + 0.3 * RNG.normal(size=(2, depth, few, few, 3)).astype(np.float32)
    seen = jnp.zeros((2, few, few, depth)).at[..., 2].set(ONLY)
    found = features_in_view(context, places, seen)
    np.testing.assert_array_equal(found[..., :5], jnp.broadcast_to(context, (2, 4, 4, 5)))
    want = torch.nn.functional.grid_sample(
        torch.from_numpy(np.array(context)).permute(0, 3, 1, 2).expand(2, -1, -1, -1),
        torch.from_numpy(np.array(places[:, 2, ..., :2])),
        align_corners=True,
        padding_mode="border",
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found[..., 5:10], want, atol=1e-5)
    far = (places - still()).transpose(0, 2, 3, 1, 4).reshape(2, 4, 4, 9)
    np.testing.assert_allclose(found[..., 10:], far, atol=1e-6)


def test_a_context_joins_a_trained_decoder_without_a_jump():
    """At the start it adds nothing, but feels a gradient; one portrait's serves many frames."""
    settings = ["face.extensions.compositing=true", "face.extensions.portrait_features=8"]
    config = get_config("debug", settings).face
    image = picture(1, config.image_size, config.image_size, 3)
    whole = build_face_model(config)
    params = jax.jit(whole.init)(jax.random.key(0), image, image)["params"]
    known = {name: value for name, value in params.items() if name != "context"}
    known["decoder"] = {k: v for k, v in params["decoder"].items() if k != "hint"}
    assert set(params) - set(known) == {"context"}
    off = dataclasses.replace(config.extensions, portrait_features=0)
    plain = build_face_model(dataclasses.replace(config, extensions=off))
    many = jax.tree.map(lambda x: jnp.repeat(x, 3, 0), motion(config, rotation=(0.1, 0.4, 0.0)))
    runs = []
    for model, given in ((whole, params), (plain, known)):
        source = model.apply({"params": given}, image, motion(config), method="encode_source")
        runs.append(model.apply({"params": given}, source, many, method="decode"))
    assert runs[0].shape == (3, *image.shape[1:])

    def loss(params):
        found = whole.apply({"params": params}, image, motion(config), method="encode_source")
        return whole.apply({"params": params}, found, many, method="decode")[..., 0].mean()

    grad = jax.grad(loss)(params)["decoder"]["hint"]["kernel"]
    assert np.abs(grad).min(1).max() > 0
    assert (np.abs(grad).max(1) > 0).all()


@pytest.fixture(scope="module")
def model():
    config = get_config(
        "debug", ["face.extensions.compositing=true", "face.extensions.decoder_embed=true"]
    ).face
    image = picture(1, config.image_size, config.image_size, 3)
    model = build_face_model(config)
    params = jax.jit(model.init)(jax.random.key(0), image, image)
    return config, model, params, image


def motion(config, **pose):
    dyn = jnp.asarray(RNG.normal(size=(1, config.dyn_dim)), jnp.float32)
    return Motion(identity_pose(1)._replace(**{k: jnp.array([v]) for k, v in pose.items()}), dyn)


def moved_alone(params):
    """The parameters with no displacements, all shares with the moved portrait."""
    params = jax.tree.map(jnp.copy, params)
    for warp in ("warp_source", "warp_driver"):
        head = params["params"][warp]["head"]
        params["params"][warp]["head"] = jax.tree.map(jnp.zeros_like, head)
    head = params["params"]["decoder"]["head"]
    head["kernel"] = head["kernel"].at[..., 3:].set(0)
    head["bias"] = head["bias"].at[3:].set(jnp.array([ONLY, 0.0, 0.0]))
    params["params"]["decoder"]["follow"]["bias"] = jnp.array([ONLY])
    return params


def test_a_new_model_moves_the_portrait_by_the_pose(model):
    """With the drawn share closed and no displacements, a shifted pose shifts the picture."""
    config, model, params, image = model
    params = moved_alone(params)
    at_rest = motion(config)
    source = model.apply(params, image, at_rest, method="encode_source")
    # Two pixels to the right: 2 steps of the grid of pixel centres.
    step = 2.0 / (config.image_size - 1)
    moved = at_rest.pose._replace(translation=jnp.array([[2 * step, 0.0, 0.0]]))
    drawn = model.apply(params, source, Motion(moved, at_rest.dyn), method="decode")
    # A margin as wide as a voxel and the shift: beyond it lies what the portrait does not show.
    w = 2 + config.image_size // config.volume_size
    np.testing.assert_allclose(drawn[:, w:-w, w:-w], image[:, w:-w, w - 2 : -w - 2], atol=1e-4)
    rest = model.apply(params, source, at_rest, method="decode")
    np.testing.assert_allclose(rest, image, atol=1e-4)


def test_dynamics_reach_the_picture_by_the_decoder_alone(model):
    config, model, params, image = model
    params = jax.tree.map(jnp.copy, params)
    head = params["params"]["warp_driver"]["head"]
    params["params"]["warp_driver"]["head"] = jax.tree.map(jnp.zeros_like, head)
    source = model.apply(params, image, motion(config), method="encode_source")
    a, b = (model.apply(params, source, motion(config), method="decode") for _ in range(2))
    assert np.abs(a - b).max() > 1e-3


def test_a_larger_portrait_keeps_its_pixels(model):
    """Networks at half the picture's size: at rest all its pixels come back, and a head that moves
    by two of them moves them and not means of four."""
    config, _, params, _ = model
    size = 2 * config.image_size
    halved = dataclasses.replace(config.extensions, network_size=config.image_size)
    config = dataclasses.replace(config, image_size=size, extensions=halved)
    large, model = picture(1, size, size, 3), build_face_model(config)
    params = moved_alone(params)
    at_rest = motion(config)
    source = model.apply(params, large, at_rest, method="encode_source")
    np.testing.assert_allclose(
        model.apply(params, source, at_rest, method="decode"), large, atol=2e-4
    )
    moved = at_rest.pose._replace(translation=jnp.array([[4.0 / (size - 1), 0.0, 0.0]]))
    drawn = model.apply(params, source, Motion(moved, at_rest.dyn), method="decode")
    w = 2 + size // config.volume_size
    np.testing.assert_allclose(drawn[:, w:-w, w:-w], large[:, w:-w, w - 2 : -w - 2], atol=5e-4)
    # The motion encoders are not among those networks: lids and irises are few pixels as it is.
    encoded, options = (
        model.apply(params, large, method="encode_motion"),
        LayerOptions(config.norm_groups),
    )
    pose = PoseEncoder(config, options).apply({"params": params["params"]["pose"]}, large)
    dyn = DynEncoder(config, options).apply({"params": params["params"]["dyn"]}, large)
    np.testing.assert_array_equal(encoded.pose.rotation, pose.rotation)
    np.testing.assert_array_equal(encoded.dyn, dyn)


def test_one_portrait_serves_many_frames(model):
    config, model, params, image = model
    first, second = motion(config, log_scale=[0.1]), motion(config, rotation=[0.1, 0.2, 0.0])
    source = model.apply(params, image, first, method="encode_source")
    both = jax.tree.map(lambda *x: jnp.concatenate(x), first, second)
    together = model.apply(params, source, both, method="decode")
    for k, each in enumerate((first, second)):
        alone = model.apply(params, source, each, method="decode")
        np.testing.assert_allclose(together[k], alone[0], atol=1e-5)
