"""`encode` and `decode`: a portrait once, and frames by batch and picture size."""

import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.lab import Lab
from vasa_jax.benchmark.work import count_work
from vasa_jax.bundle import build_networks
from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.inference.programs import jit_decode, jit_encode

DECODE_BATCHES = (1, 2, 4, 8, 16, 32)
SIZES = (256, 512)


def encode_cases(lab: Lab) -> Iterator[Case]:
    """One portrait, and with --batches several at once."""
    for config, size in _sizes(lab):
        for batch in lab.options.batches or (1,):
            settings = {**lab.settings, "size": size, "batch": batch}
            yield Case(
                "encode",
                settings,
                "portraits",
                lambda config=config, batch=batch: _encode(lab, config, batch),
            )


def decode_cases(lab: Lab) -> Iterator[Case]:
    """Frames of one portrait, the config's own picture size first."""
    for config, size in _sizes(lab):
        for batch in lab.options.batches or DECODE_BATCHES:
            settings = {**lab.settings, "size": size, "batch": batch}
            yield Case(
                "decode",
                settings,
                "frames",
                lambda config=config, batch=batch: _decode(lab, config, batch),
            )


def _sizes(lab: Lab) -> Iterator[tuple[Config, int]]:
    """The config at its own size and at the usual ones; parameters do not depend on the size."""
    own = lab.config.face.image_size
    others = tuple(size for size in SIZES if size != own)
    for size in lab.options.sizes or (own, *others):
        try:
            yield lab.change(f"face.image_size={size}"), size
        except UserError:
            if lab.options.sizes:
                raise


def abstract_source(config: Config, params: Any) -> Any:
    """Shapes of one encoded portrait."""
    size = config.face.image_size
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
    return jax.eval_shape(jit_encode(build_networks(config, folded=True).face), params, image)


def _encode(lab: Lab, config: Config, batch: int) -> Ready:
    size = config.face.image_size
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8))
    function = jit_encode(build_networks(config, folded=True).face)
    return _compiled(function, (lab.params["face"], images), batch)


def _decode(lab: Lab, config: Config, batch: int) -> Ready:
    rng = np.random.default_rng(0)
    source = jax.tree.map(
        lambda spec: jnp.asarray(rng.standard_normal(spec.shape, np.float32), spec.dtype),
        abstract_source(config, lab.params["face"]),
    )
    vectors = jnp.asarray(0.05 * rng.standard_normal((batch, config.face.motion_dim), np.float32))
    function = jit_decode(build_networks(config, folded=True).face)
    return _compiled(function, (lab.params["face"], source, vectors), batch)


def _compiled(function: Any, arguments: tuple, units: int) -> Ready:
    work = count_work(function, *arguments)
    begun = time.perf_counter()
    program = function.lower(*arguments).compile()
    compile_s = time.perf_counter() - begun
    run = lambda: jax.block_until_ready(program(*arguments))  # noqa: E731
    return Ready(run, units, compile_s, work, program)
