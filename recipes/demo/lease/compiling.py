"""Compilation of all parts' programs in threads, while data is rendered and earlier parts train."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from recipes.demo.lease.parts import Scale
from recipes.demo.lease.programs import Programs
from recipes.demo.on_device.pool import GroupArrays, group_struct

SCALAR = {
    name: jax.ShapeDtypeStruct((), kind)
    for name, kind in (("count", jnp.int32), ("seed", jnp.int32), ("rate", jnp.float32))
}

_TRACING = threading.Lock()
"""Tracing holds Python's lock; one at a time, the first needed is compiled first."""


class Shapes(NamedTuple):
    """Shapes of a part's arguments. held: the pool of held-out people."""

    state: Any
    frozen: Any
    pool: GroupArrays
    held: GroupArrays


def shapes_of(scale: Scale, programs: Programs, frozen: Mapping[str, Any]) -> Shapes:
    """Allocates nothing."""
    task = programs.task(jnp.float32(0))
    abstract = lambda tree: jax.tree.map(  # noqa: E731
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree
    )
    state = jax.eval_shape(lambda key: task.init(key, {}), jax.random.key(0))
    pools = (
        group_struct(groups, scale.picture, scale.swaps) for groups in (scale.groups, scale.held)
    )
    used = frozen if programs.part.kind == "generator" else {}
    return Shapes(abstract(state), abstract(used), *pools)


def traces(programs: Programs, shapes: Shapes) -> dict[str, Any]:
    """The part's programs, traced, by name."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    batch = jax.eval_shape(programs.held, shapes.held, SCALAR["count"], key)
    face = _face(programs, shapes)
    asked = {
        "run": (shapes.state, shapes.frozen, shapes.pool, *SCALAR.values()),
        "held": (shapes.held, SCALAR["count"], key),
    }
    if programs.part.kind == "generator":
        asked["transfers"] = (face, batch)
    else:
        asked["encode"] = (face, batch.source.view)
    return {name: getattr(programs, name).trace(*inputs) for name, inputs in asked.items()}


def _face(programs: Programs, shapes: Shapes) -> Any:
    """Shapes of the face model's parameters that a part's check needs."""
    face = shapes.state.params["face"]
    if programs.part.kind != "dyn":
        return face
    # Its crops are placed by the encoded head pose.
    from vasa_jax.extensions.build import build_face_model

    image = jax.ShapeDtypeStruct(programs.config.fake_image().shape, jnp.float32)
    model = build_face_model(programs.config.face, programs.config.dtype)
    whole = jax.eval_shape(model.init, jax.random.key(0), image, image)["params"]
    return {"pose": whole["pose"], **face}


class Ready(NamedTuple):
    """A compiled part. memory and flops are None where XLA does not report them."""

    programs: Programs  # compiled in place of jitted ones
    state: Any  # shapes of its state
    seconds: dict[str, float]  # of tracing, and of compiling each program
    memory: int | None  # bytes of temporaries of `run`
    flops: float | None  # of `run`


def compile_all(programs: Programs, shapes: Shapes, options: Mapping[str, Any]) -> Ready:
    """Compile a part's programs. options: of the compiler."""
    with _TRACING:
        began = time.monotonic()
        found = {name: traced.lower() for name, traced in traces(programs, shapes).items()}
    seconds, compiled = {"trace": time.monotonic() - began}, {}
    for name, program in found.items():
        began = time.monotonic()
        compiled[name] = program.compile(compiler_options=dict(options) or None)
        seconds[name] = time.monotonic() - began
    memory = compiled["run"].memory_analysis()
    costs = compiled["run"].cost_analysis() or {}
    return Ready(
        programs._replace(**compiled),
        shapes.state,
        {name: round(value, 1) for name, value in seconds.items()},
        getattr(memory, "temp_size_in_bytes", None),
        costs.get("flops"),
    )


class Compiler:
    """Compiles parts in threads, in order. options: of the compiler."""

    def __init__(self, threads: int, options: Mapping[str, Any]):
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="compile")
        self._options = options
        self._given: list[Future[Ready]] = []

    def give(self, programs: Programs, shapes: Shapes) -> Future[Ready]:
        self._given.append(self._threads.submit(compile_all, programs, shapes, self._options))
        return self._given[-1]

    def close(self) -> bool:
        """Cancel what has not begun; whether nothing is compiling any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        return all(one.done() for one in self._given)
