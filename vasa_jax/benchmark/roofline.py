"""The device's measured limits: its fastest matrix product and memory copy."""

import time
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.store import Store
from vasa_jax.benchmark.work import Work
from vasa_jax.config import Config

MATMUL_SIZES = {"cpu": (1024, 2048), "other": (4096, 8192, 12288)}
COPY_BYTES = {"cpu": (2**27,), "other": (2**28, 2**30)}
ROOFLINE = "ceilings"
"""Their name in the results."""


def roofline_cases(config: Config) -> Iterator[Case]:
    """Square products in the config's precision, as its networks compute them; float32 copies."""
    kind = "cpu" if jax.default_backend() == "cpu" else "other"
    for size in MATMUL_SIZES[kind]:
        settings = {"ceiling": "matmul", "precision": config.precision, "size": size}
        yield Case(ROOFLINE, settings, "calls", partial(_matmul, size, config))
    for count in COPY_BYTES[kind]:
        settings = {"ceiling": "copy", "precision": config.precision, "bytes": count}
        yield Case(ROOFLINE, settings, "calls", partial(_copy, count))


def roofline(store: Store, config: Config) -> dict[str, float]:
    """The highest measured rates: "matmul" in FLOP/s, "copy" in bytes/s (read plus written)."""
    best: dict[str, float] = {"bf16": float(config.precision == "bf16")}
    for row in store.rows:
        settings = row["settings"]
        if row["question"] != ROOFLINE or settings["precision"] != config.precision:
            continue
        if "seconds" not in row:
            continue
        name = settings["ceiling"]
        amount = row["flops"] if name == "matmul" else row["bytes"]
        # The median of each size, since the fastest run may be an outlier.
        best[name] = max(best.get(name, 0.0), amount / row["seconds"]["median"])
    return best


def _matmul(size: int, config: Config) -> Ready:
    # Random numbers: a chip clocks higher on constant ones.
    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.normal(key, (size, size)).astype(config.dtype) for key in keys)
    begun = time.perf_counter()
    program = jax.jit(jnp.matmul).lower(a, b).compile()
    compile_s = time.perf_counter() - begun
    work = Work(2 * size**3, 3 * size**2 * config.dtype.itemsize)
    return Ready(lambda: program(a, b).block_until_ready(), 1, compile_s, work, program)


def _copy(count: int) -> Ready:
    x = jnp.zeros(count // 4, jnp.float32)
    begun = time.perf_counter()
    program = jax.jit(lambda x: x + 1).lower(x).compile()
    compile_s = time.perf_counter() - begun
    work = Work(0, 2 * count)
    return Ready(lambda: program(x).block_until_ready(), 1, compile_s, work, program)
