"""`encode` and `decode`: portraits and frames by batch and image size."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.subject import BenchmarkModel
from vasa_jax.benchmark.work import count_work
from vasa_jax.bundle import build_networks
from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.inference.programs import jit_decode, jit_encode

DECODE_BATCHES = (1, 2, 4, 8, 16, 32)
SIZES = (256, 512)


def encode_cases(model: BenchmarkModel) -> Iterator[Case]:
    """One portrait, or the batches of --batches."""
    for config, size in _sizes(model):
        for batch in model.options.batches or (1,):
            settings = {**model.settings, "size": size, "batch": batch}
            yield Case(
                "encode",
                settings,
                "portraits",
                partial(_encode, model, config, batch),
            )


def decode_cases(model: BenchmarkModel) -> Iterator[Case]:
    """Frames of one portrait, the config's own image size first."""
    for config, size in _sizes(model):
        for batch in model.options.batches or DECODE_BATCHES:
            settings = {**model.settings, "size": size, "batch": batch}
            yield Case(
                "decode",
                settings,
                "frames",
                partial(_decode, model, config, batch),
            )


def _sizes(model: BenchmarkModel) -> Iterator[tuple[Config, int]]:
    """The config at its own image size and at `SIZES`; parameters do not depend on it."""
    own = model.config.face.image_size
    others = tuple(size for size in SIZES if size != own)
    for size in model.options.sizes or (own, *others):
        try:
            yield model.change(f"face.image_size={size}"), size
        except UserError:
            if model.options.sizes:
                raise


def abstract_source(config: Config, params: Any) -> Any:
    """Shapes of one encoded portrait."""
    size = config.face.image_size
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
    return jax.eval_shape(jit_encode(build_networks(config, folded=True).face), params, image)


def _encode(model: BenchmarkModel, config: Config, batch: int) -> Ready:
    size = config.face.image_size
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8))
    function = jit_encode(build_networks(config, folded=True).face)
    return _compiled(function, (model.params["face"], images), batch)


def _decode(model: BenchmarkModel, config: Config, batch: int) -> Ready:
    rng = np.random.default_rng(0)
    source = jax.tree.map(
        lambda spec: jnp.asarray(rng.standard_normal(spec.shape, np.float32), spec.dtype),
        abstract_source(config, model.params["face"]),
    )
    vectors = jnp.asarray(0.05 * rng.standard_normal((batch, config.face.motion_dim), np.float32))
    function = jit_decode(build_networks(config, folded=True).face)
    return _compiled(function, (model.params["face"], source, vectors), batch)


def _compiled(function: Any, arguments: tuple, units: int) -> Ready:
    work = count_work(function, *arguments)
    begun = time.perf_counter()
    program = function.lower(*arguments).compile()
    compile_s = time.perf_counter() - begun
    run = lambda: jax.block_until_ready(program(*arguments))  # noqa: E731
    return Ready(run, units, compile_s, work, program)
