"""FaceModel end to end on the debug size, and the full sizes through abstract shapes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.config import FaceExtensions, get_config
from vasa_jax.errors import UserError
from vasa_jax.extensions.build import build_face_model, parameter_table
from vasa_jax.face.conv import fold_weight_standardisation
from vasa_jax.face.pose import mirror_pose, motion_to_vector, vector_to_motion
from vasa_jax.face.warp import INITIAL_DELTA
from vasa_jax.typing import Motion, Pose

CONFIG = get_config("debug").face
MODEL = build_face_model(CONFIG)
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiling takes nearly all of the time here: no optimisation makes it three times shorter."""


def images(seed, batch=2, size=CONFIG.image_size):
    """Smooth random colours with a bright disc somewhere: unlike each other on every scale."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = [
        np.sin(2 * np.pi * (rng.uniform(0, 3) * x + rng.uniform(0, 3) * y + rng.uniform()))
        for _ in range(3 * batch)
    ]
    out = 0.5 + 0.3 * np.stack(waves, -1).reshape(size, size, batch, 3).transpose(2, 0, 1, 3)
    for image in out:
        cx, cy = rng.uniform(0.3, 0.7, 2)
        image[(x - cx) ** 2 + (y - cy) ** 2 < 0.04] = rng.uniform(0, 1, 3)
    return jnp.asarray(out, jnp.float32)


@pytest.fixture(scope="module")
def params():
    # "rbg" keys: hundreds of threefry draws in one program take minutes to compile.
    init = jax.jit(MODEL.init, compiler_options=QUICK)
    return init(jax.random.key(0, impl="rbg"), images(0), images(1))


def run(method, model=MODEL):
    return jax.jit(lambda p, *a: model.apply(p, *a, method=method), compiler_options=QUICK)


ENCODE_SOURCE, ENCODE_MOTION = run("encode_source"), run("encode_motion")
DECODE, CALL = run("decode"), run("__call__")


def awake(params):
    """The parameters with a pose head that no longer returns the identity pose."""
    kernel = params["params"]["pose"]["head"]["kernel"]
    head = {"kernel": 0.1 * jax.random.normal(jax.random.key(7), kernel.shape)}
    inner = params["params"]
    pose = inner["pose"] | {"head": inner["pose"]["head"] | head}
    return {"params": inner | {"pose": pose}}


def test_outputs_are_images_and_structs(params):
    source, motion = ENCODE_SOURCE(params, images(0)), ENCODE_MOTION(params, images(1))
    size = CONFIG.volume_size
    assert source.volume.shape == (2, CONFIG.volume_depth, size, size, CONFIG.volume_channels)
    assert source.identity.shape == (2, 4, 4, CONFIG.embed_channels)
    assert motion.dyn.shape == (2, CONFIG.dyn_dim)
    out = DECODE(params, source, motion)
    assert out.shape == (2, 64, 64, 3)
    assert out.dtype == jnp.float32
    assert 0 <= float(out.min()) < float(out.max()) <= 1
    vector = motion_to_vector(motion)
    assert vector.shape == (2, CONFIG.motion_dim)
    again = DECODE(params, source, vector_to_motion(vector))
    np.testing.assert_array_equal(again, out)


def test_heads_start_frontal(params):
    pose = ENCODE_MOTION(params, images(2)).pose
    for leaf in pose:
        np.testing.assert_array_equal(leaf, 0)


def test_one_source_serves_many_motions(params):
    source = ENCODE_SOURCE(params, images(0, batch=1))
    motion = ENCODE_MOTION(awake(params), images(3, batch=3))
    out = DECODE(params, source, motion)
    copies = jax.tree.map(lambda x: jnp.repeat(x, 3, 0), source)
    np.testing.assert_allclose(out, DECODE(params, copies, motion), atol=1e-5)


def test_transfer_takes_pose_and_dynamics_from_their_images(params):
    params = awake(params)
    s, p, d = images(0), images(1), images(2)
    out = run("transfer")(params, s, p, d)
    motion = Motion(ENCODE_MOTION(params, p).pose, ENCODE_MOTION(params, d).dyn)
    np.testing.assert_allclose(out, DECODE(params, ENCODE_SOURCE(params, s), motion), atol=1e-5)
    motion = ENCODE_MOTION(params, p)
    whole = CALL(params, s, p)
    np.testing.assert_allclose(whole, DECODE(params, ENCODE_SOURCE(params, s), motion), atol=1e-5)
    assert float(jnp.abs(out - whole).max()) > 1e-4


def test_a_known_motion_replaces_the_encoded_one(params):
    image = images(0)
    motion = ENCODE_MOTION(params, image)
    given, found = ENCODE_SOURCE(params, image, motion), ENCODE_SOURCE(params, image)
    np.testing.assert_allclose(given.volume, found.volume, atol=1e-5)
    turned = motion._replace(pose=motion.pose._replace(rotation=motion.pose.rotation + 0.3))
    other = ENCODE_SOURCE(params, image, turned)
    assert float(jnp.abs(other.volume - found.volume).max()) > 1e-2


def test_warps_start_near_the_identity_but_not_on_it(params):
    def both(model, image):
        dyn_map = model.dyn_map(model.encode_motion(image))
        identity = model.identity(image)
        return model.warp_source(dyn_map, identity), model.warp_driver(dyn_map, identity)

    first, second = run(both)(params, images(0))
    for delta in (first, second):
        spread = float(jnp.sqrt(jnp.mean(delta**2)))
        assert INITIAL_DELTA / 3 < spread < INITIAL_DELTA * 3
        assert float(jnp.abs(delta).max()) < 0.5
    # Two networks, not one used twice.
    assert float(jnp.abs(first - second).max()) > 1e-3


def test_the_picture_answers_to_each_part_of_the_motion_at_the_start(params):
    source, motion = ENCODE_SOURCE(params, images(0)), ENCODE_MOTION(params, images(1))
    vector = motion_to_vector(motion)
    still = DECODE(params, source, motion)
    for i in range(CONFIG.motion_dim):
        step = 0.3 if i < 7 else 1.0
        moved = DECODE(params, source, vector_to_motion(vector.at[:, i].add(step)))
        assert float(jnp.abs(moved - still).max()) > 1e-4, i
    for image in range(2):
        assert float(jnp.abs(still[image] - still[1 - image]).max()) > 1e-3


@functools.partial(jax.jit, compiler_options=QUICK)
@jax.grad
def gradients_of_pixels(params):
    return jnp.mean((MODEL.apply(params, images(3), images(4)) - images(5)) ** 2)


def pixel_gradients(params):
    return gradients_of_pixels(params)["params"]


def dead(grads):
    """Paths of the parameters that no gradient reaches."""
    leaves = jax.tree_util.tree_leaves_with_path(grads)
    return [jax.tree_util.keystr(path) for path, g in leaves if not float(jnp.abs(g).max()) > 0]


def test_a_pixel_loss_reaches_every_parameter(params):
    assert dead(pixel_gradients(awake(params))) == []


def test_only_the_pose_trunk_sleeps_at_the_first_step(params):
    # The pose head starts at zero, so its own gradient is alive and its trunk's is exactly zero...
    grads = pixel_gradients(params)
    asleep = dead(grads)
    assert asleep
    assert all(path.startswith("['pose']['trunk']") for path in asleep)
    # ... until one step of descent has moved the head.
    stepped = jax.tree.map(lambda p, g: p - 10.0 * g, params["params"], grads)
    assert dead(pixel_gradients({"params": stepped})) == []


def test_a_mirrored_reading_of_the_pose_belongs_to_both_pictures(params):
    image = images(5)
    plain, twice = (
        [
            build_face_model(config).apply(awake(params), seen, method="encode_pose")
            for seen in (image, image[:, :, ::-1])
        ]
        for config in (
            CONFIG,
            dataclasses.replace(CONFIG, extensions=FaceExtensions(pose_flip_average=True)),
        )
    )
    back = [mirror_pose(pose) for pose in (plain[1], twice[1])]
    assert np.abs(plain[0].rotation - back[0].rotation).max() > 1e-3
    for name in Pose._fields:
        first, second = getattr(plain[0], name), getattr(back[0], name)
        np.testing.assert_allclose(getattr(twice[0], name), (first + second) / 2, atol=1e-6)
        np.testing.assert_allclose(getattr(twice[0], name), getattr(back[1], name), atol=1e-6)


def test_folded_parameters_give_the_same_picture(params):
    folded = fold_weight_standardisation(params)
    out = run("__call__", build_face_model(CONFIG, folded=True))(folded, images(0), images(1))
    np.testing.assert_allclose(out, CALL(params, images(0), images(1)), atol=1e-5)
    changed = [
        jax.tree_util.keystr(path)
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(folded), strict=True
        )
        if float(jnp.abs(a - b).max()) > 1e-3
    ]
    # Every network's middle is standardised; stems, heads and norms are left alone.
    assert all("ws_kernel" in path for path in changed)
    assert {path.split("'")[3] for path in changed} == {
        "appearance",
        "identity",
        "pose",
        "dyn",
        "warp_source",
        "warp_driver",
        "canonical",
        "decoder",
    }


def test_bfloat16_is_close_to_float32(params):
    exact = CALL(params, images(0), images(1))
    low = run("__call__", build_face_model(CONFIG, jnp.bfloat16))(params, images(0), images(1))
    assert low.dtype == jnp.float32
    assert float(jnp.abs(low - exact).mean()) < 0.02
    assert float(jnp.abs(low - exact).mean()) < 0.2 * float(exact.std())


def test_bfloat16_keeps_float32_parameters_and_gradients():
    model = build_face_model(CONFIG, jnp.bfloat16)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images(0), images(1))
    assert {x.dtype for x in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


def test_vmap_over_drivers_equals_the_batch(params):
    source = ENCODE_SOURCE(params, images(0, batch=1))
    motion = ENCODE_MOTION(params, images(3, batch=3))

    def one(motion):
        return MODEL.apply(params, source, jax.tree.map(lambda x: x[None], motion), method="decode")

    mapped = jax.jit(jax.vmap(one), compiler_options=QUICK)(motion)[:, 0]
    np.testing.assert_allclose(mapped, DECODE(params, source, motion), atol=1e-5)


# Full sizes, abstractly.

PAPER = {
    "appearance": 10.0,
    "identity": 24.6,
    "dyn": 11.4,
    "pose": 11.2,
    "embed": 4.2,
    "warps": 27.1,
    "canonical": 72.8,
    "decoder": 42.4,
    "total": 203.7,
}
"""Millions of parameters, computed from MegaPortraits' layer tables apart from this code."""


def test_parameter_budget_of_the_paper():
    table = parameter_table(get_config("vasa1").face)
    assert set(table) == set(PAPER)
    for name, expected in PAPER.items():
        assert table[name] / 1e6 == pytest.approx(expected, rel=0.03), name


@pytest.mark.parametrize(("name", "low", "high"), [("base256", 54, 66), ("demo", 7, 13)])
def test_parameter_budget_of_the_smaller_sizes(name, low, high):
    assert low <= parameter_table(get_config(name).face)["total"] / 1e6 <= high


def abstract(name, dtype=jnp.float32):
    face = get_config(name).face
    model = build_face_model(face, dtype)
    image = jax.ShapeDtypeStruct((2, face.image_size, face.image_size, 3), jnp.float32)
    params = jax.eval_shape(model.init, jax.random.key(0), image, image)

    def call(method, *arguments):
        return jax.eval_shape(lambda p, *a: model.apply(p, *a, method=method), params, *arguments)

    return face, model, params, image, call


@pytest.mark.parametrize("name", ["vasa1", "base256", "demo"])
def test_every_method_has_the_right_shape_at_full_size(name):
    face, _, _, image, call = abstract(name, jnp.bfloat16)
    source, motion = call("encode_source", image), call("encode_motion", image)
    size = face.volume_size
    assert source.volume.shape == (2, face.volume_depth, size, size, face.volume_channels)
    assert source.volume.dtype == jnp.bfloat16
    assert motion.dyn.shape == (2, face.dyn_dim)
    assert call("encode_source", image, motion) == source
    for out in (call("decode", source, motion), call("transfer", image, image, image)):
        assert (out.shape, out.dtype) == (image.shape, jnp.float32)
    if name == "vasa1":
        assert source.volume.shape == (2, 16, 64, 64, 96)
        assert source.identity.shape == (2, 4, 4, 512)


@pytest.mark.parametrize(("name", "budget"), [("vasa1", 1250.0), ("demo", 3.0)])
def test_arithmetic_of_one_frame_stays_in_budget(name, budget):
    """GFLOP of decode for one frame, as XLA counts them before optimisation."""
    face, model, params, image, call = abstract(name)
    s = face.volume_size
    source = call("encode_source", jax.ShapeDtypeStruct((1, *image.shape[1:]), image.dtype))
    vector = jax.ShapeDtypeStruct((1, face.motion_dim), jnp.float32)

    def decode(p, source, vector):
        return model.apply(p, source, vector_to_motion(vector), method="decode")

    lowered = jax.jit(decode).lower(params, source, vector)
    gflop = lowered.cost_analysis()["flops"] / 1e9
    # The residual blocks at the volume's resolution alone give a floor: the count is not empty.
    floor = face.decoder_blocks * 2 * 9 * face.decoder_width**2 * 2 * s * s / 1e9
    assert floor < gflop < budget


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"canonical_widths": (8, 16)}, "canonical_widths"),
        ({"volume_depth": 6}, "volume_depth"),
        ({"warp_widths": (8,)}, "volume_size"),
        ({"volume_depth": 64}, "volume_depth"),
        ({"extensions": FaceExtensions(warp_size=5)}, "warp_size"),
        (
            {"extensions": FaceExtensions(compositing=True, network_size=40)},
            "network_size=40",
        ),
        (
            {
                "image_size": 68,
                "extensions": FaceExtensions(compositing=True, network_size=32),
            },
            "multiple of 8",
        ),
    ],
)
def test_impossible_sizes_are_refused_in_one_line(change, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(CONFIG, **change)


def test_pose_is_a_plain_pytree():
    assert len(jax.tree.leaves(Pose(jnp.zeros(3), jnp.zeros(3), jnp.zeros(1)))) == 3
