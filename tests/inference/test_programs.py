"""The programs of inference: what they hold, what must not be in them, and where they compile."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.benchmark.motion_benchmarks import window_inputs
from vasa_jax.benchmark.work import count_work
from vasa_jax.bundle import abstract_params, build_networks, init_bundle
from vasa_jax.config import get_config
from vasa_jax.face.conv import fold_weight_standardisation
from vasa_jax.inference.programs import inference_params, jit_decode, jit_encode
from vasa_jax.motion.sampler import LinenNetwork, initial_carry, make_plan, sample_windows

BATCH = 2
OPERATION = re.compile(r'= "?stablehlo\.(\w+)"?')
TENSOR = re.compile(r"tensor<((?:\d+x)*)(\w+)>")


def folded(params):
    """As before there was `inference_params`: standardised, all in float32."""
    return {**params, "face": fold_weight_standardisation(params["face"])}


class Programs:
    """The three programs of a config with their arguments as shapes."""

    def __init__(self, config, batch=BATCH, make_params=None):
        make = make_params or (lambda p: inference_params(p, config.dtype))
        params = jax.eval_shape(make, abstract_params(config))
        networks, size = build_networks(config, folded=True), config.face.image_size
        image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
        vectors = jax.ShapeDtypeStruct((batch, config.face.motion_dim), jnp.float32)
        encode, decode = jit_encode(networks.face), jit_decode(networks.face)
        source = jax.eval_shape(encode, params["face"], image)
        self.encode = encode, (params["face"], image)
        self.decode = decode, (params["face"], source, vectors)
        network, (plan, weights) = LinenNetwork(networks.motion), make_plan(config.diffusion)
        inputs = jax.eval_shape(lambda: window_inputs(config, batch))
        dims = config.motion.context, config.face.motion_dim, config.audio.dim
        carry = jax.eval_shape(lambda: initial_carry(batch, *dims))
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), batch))
        self.sample = (
            jax.jit(lambda p, c, i, k, w: sample_windows(network, plan, p, c, i, k, w)),
            ({"params": params["motion"]}, carry, inputs, keys, weights),
        )

    def text(self, name, platform):
        """StableHLO of a program for a platform."""
        function, arguments = getattr(self, name)
        return function.trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


@pytest.fixture(scope="module")
def vasa1():
    return Programs(get_config("vasa1"))


@pytest.fixture
def as_if_on(monkeypatch):
    """Trace as on a machine with that device: some layers choose their form by it."""
    return lambda platform: monkeypatch.setattr(
        jax, "default_backend", lambda: {"cuda": "gpu"}.get(platform, platform)
    )


def operations(text):
    """(name, operand and result types, result shape) of every operation of a StableHLO text."""
    for line in text.splitlines():
        if found := OPERATION.search(line):
            types = [(tuple(map(int, d.split("x")[:-1])), t) for d, t in TENSOR.findall(line)]
            yield found[1], types


def big(shape, config):
    """Whether a shape is a whole activation: as large as the smallest of the decoder's."""
    face = config.face
    return math.prod(shape) >= BATCH * face.volume_size**2 * face.decoder_width


@pytest.mark.parametrize("name", ["encode", "decode", "sample"])
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_full_size_programs_lower_for_accelerators(vasa1, as_if_on, name, platform):
    as_if_on(platform)
    programs = Programs(get_config("vasa1"), batch=1)  # traced anew, as for that device
    text = programs.text(name, platform)
    assert "bf16" in text
    if name == "encode":
        assert re.search(
            r"stablehlo.convolution.*tensor<\d+x3x3x3x\d+x\d+xbf16>|"
            r"tensor<3x3x3x\d+x\d+xbf16>",
            text,
        )
    if name == "sample":
        assert "stablehlo.while" in text


def test_a_frame_stays_within_its_budget(as_if_on):
    """vasa1 at 512 px, one frame: 1.25 TFLOP at most, and 1 GB of what must move."""
    as_if_on("cuda")
    function, arguments = Programs(get_config("vasa1"), batch=1).decode
    work = count_work(function, *arguments)
    assert 0.3e12 < work.flops < 1.25e12
    assert 0.5e9 < work.bytes < 1.0e9
    assert work.open_loops == 0
    # Weights and source are read once for a whole batch.
    function, arguments = Programs(get_config("vasa1"), batch=8).decode
    many = count_work(function, *arguments)
    assert many.flops == pytest.approx(8 * work.flops, rel=0.01)
    assert many.bytes < 8 * work.bytes


def test_every_product_of_a_frame_is_bf16(vasa1, as_if_on):
    """No convolution and no large matrix product may run on float32 in the bf16 program."""
    as_if_on("cuda")
    config = get_config("vasa1")
    found = 0
    for name, types in operations(Programs(config).text("decode", "cuda")):
        if name in ("convolution", "dot_general") and any(big(s, config) for s, _ in types):
            found += 1
            assert {t for _, t in types} == {"bf16"}, types
    assert found >= 2 * config.face.decoder_blocks


def test_transposes_and_float32_copies_are_counted(vasa1, as_if_on):
    """The allowance of whole activations in the bf16 decode program, with reasons:

    transposes: one, where depth and channels merge before the decoder's 1x1 projection.
    to float32: two a norm (its moments, its affine map; XLA fuses both into the reads), eight
    corners of the resample, and the picture before its sigmoid.
    back to bf16: one a norm and one for the resample; the picture leaves as uint8.
    """
    as_if_on("cuda")
    config = get_config("vasa1")
    counts = {"transpose": 0, "up": 0, "down": 0}
    for name, types in operations(Programs(config).text("decode", "cuda")):
        shape, kind = types[-1] if types else ((), "")
        if not big(shape, config) or len(shape) < 4:
            continue
        # Kernels are no activations: their leading axes are small.
        if shape[0] != BATCH:
            continue
        counts["transpose"] += name == "transpose"
        counts["up"] += name == "convert" and kind == "f32"
        counts["down"] += name == "convert" and kind == "bf16"
    face = config.face
    norms = 2 * face.decoder_blocks + 2 * len(face.decoder_widths) + 1
    warp_norms = 3  # those whose input is as large: the last block's and the one after it
    assert counts["transpose"] <= 1
    assert 2 * norms <= counts["up"] <= 2 * (norms + warp_norms) + 8 + 1
    assert norms <= counts["down"] <= norms + warp_norms + 1


def test_no_weight_is_cast_at_every_call():
    """What runs per frame and per step reads its kernels in the compute type."""
    config = get_config("vasa1")
    # An argument of the program, of an inner function or of a loop.
    kernel = re.compile(r"stablehlo.convert %(?:arg|iterArg_?)\w* : \(tensor<([\dx]+)xf32>\)")

    def cast(programs, name):
        shapes = kernel.findall(programs.text(name, "cuda"))
        return sum(math.prod(map(int, s.split("x"))) for s in shapes)

    new, old = Programs(config), Programs(config, make_params=folded)
    for name in ("decode", "sample"):
        assert cast(old, name) > 20e6  # the test sees them where they are
        assert cast(new, name) < 0.2e6  # biases, and the few inputs


def test_results_are_the_same_bits():
    config = get_config("debug", ["precision=bf16"])
    params = init_bundle(config).params
    narrow, wide = inference_params(params, config.dtype), folded(params)
    assert {x.dtype for x in jax.tree.leaves(narrow["face"]["decoder"])} == {
        jnp.dtype(jnp.bfloat16),
        jnp.dtype(jnp.float32),
    }
    assert {x.dtype for x in jax.tree.leaves(narrow["face"]["dyn"])} == {jnp.dtype(jnp.float32)}
    networks = build_networks(config, folded=True)
    rng = np.random.default_rng(0)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.uint8)
    vectors = jnp.asarray(0.1 * rng.standard_normal((3, config.face.motion_dim), np.float32))
    source = jax.eval_shape(jit_encode(networks.face), wide["face"], image)
    source = jax.tree.map(lambda x: jnp.asarray(rng.standard_normal(x.shape), x.dtype), source)
    decode = jit_decode(networks.face)
    ours, theirs = (np.asarray(decode(p["face"], source, vectors)) for p in (narrow, wide))
    assert theirs.std() > 1
    np.testing.assert_array_equal(ours, theirs)
    network, (plan, weights) = LinenNetwork(networks.motion), make_plan(config.diffusion)
    carry = initial_carry(1, config.motion.context, config.face.motion_dim, config.audio.dim)
    keys = jax.random.split(jax.random.key(1), 1)
    motion = [
        sample_windows(
            network, plan, {"params": p["motion"]}, carry, window_inputs(config, 1), keys, weights
        )[1]
        for p in (narrow, wide)
    ]
    np.testing.assert_array_equal(*map(np.asarray, motion))


def test_unrolled_steps_are_the_same_steps():
    config = get_config("debug", ["diffusion.steps=5"])
    network = LinenNetwork(build_networks(config).motion)
    params = {"params": init_bundle(config).params["motion"]}
    carry = initial_carry(1, config.motion.context, config.face.motion_dim, config.audio.dim)
    arguments = params, carry, window_inputs(config, 1), jax.random.split(jax.random.key(1), 1)
    (plan, weights), (unrolled, _) = (
        make_plan(get_config("debug", ["diffusion.steps=5", f"diffusion.unroll={n}"]).diffusion)
        for n in (1, 2)
    )
    one, two = (sample_windows(network, p, *arguments, weights)[1] for p in (plan, unrolled))
    np.testing.assert_allclose(one, two, atol=1e-5)
    works = [
        count_work(lambda *a, p=p: sample_windows(network, p, *a, weights), *arguments)
        for p in (plan, unrolled)
    ]
    assert works[0].flops == works[1].flops
