"""Checks shared by the tests of sharded steps."""

import re

import jax
import numpy as np

from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.mesh import Layout, make_mesh
from vasa_jax.training.program import build_program, init_state, put_batch


def prepare(task, devices, change=None):
    """(program, state, frozen, batch) on a mesh over the first `devices` devices.

    change: makes another batch of the random one.
    """
    mesh = make_mesh(task.config.mesh, jax.devices()[:devices])
    program = build_program(task, Layout(mesh, task.config.mesh.fsdp_floor))
    state = init_state(task, program)
    frozen = jax.device_put(task.frozen, program.frozen)
    batch = next(FakeBatches(task.batch))
    batch = batch if change is None else change(batch)
    return program, state, frozen, put_batch(task, program, batch)


def one_step(task, devices, start=None, change=None):
    """(state before, compiled program, state after, metrics), the states as numpy.

    start: the state to begin with instead of a fresh one. change: see `prepare`.
    """
    program, state, frozen, batch = prepare(task, devices, change)
    if start is not None:
        state = jax.device_put(start, program.state)
    before = jax.tree.map(np.array, state)
    compiled = program.jitted.lower(state, frozen, batch).compile()
    state, metrics, _ = compiled(state, frozen, batch)
    return before, compiled, jax.tree.map(np.array, state), jax.device_get(metrics)


def gathered_shapes(compiled):
    """The result shapes of all all-gathers in a compiled program, ones removed."""
    shapes = []
    for line in compiled.as_text().splitlines():
        found = re.search(r"= (.*?) all-gather(-start)?\(", line)
        if found:
            for dims in re.findall(r"\w+\[([\d,]*)\]", found[1])[-1:]:
                shapes.append(squeezed(int(d) for d in dims.split(",") if d))
    return shapes


def squeezed(shape):
    """A shape without its ones, sorted: layouts and reshapes of one array look alike."""
    return tuple(sorted(d for d in shape if d != 1))


def gatherable(params, tensor):
    """What may be gathered: parameters, or the part that a device of a tensor axis works on.

    A kernel of a volume may come as what is multiplied: a matrix for each of its depths.
    """
    shapes = {x.shape for x in jax.tree.leaves(params)}
    shapes |= {(h * w * i, o) for _, h, w, i, o in (s for s in shapes if len(s) == 5)}
    allowed = {squeezed(shape) for shape in shapes}
    for shape in shapes if tensor > 1 else ():
        for axis, size in enumerate(shape):
            if size % tensor == 0:
                allowed.add(squeezed((*shape[:axis], size // tensor, *shape[axis + 1 :])))
    return allowed


def relative_error(a, b):
    """Largest |a - b| over the largest |b|, the worst of all leaves with weight in them."""
    worst = 0.0
    scale = max(float(np.abs(y).max()) for y in jax.tree.leaves(b))
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        worst = max(worst, float(np.abs(np.asarray(x, np.float64) - y).max()) / scale)
    return worst


def distance(a, b):
    """|a - b| over |b|, Euclidean norms of whole trees."""

    def norm(trees):
        return np.sqrt(sum(float(np.sum(np.asarray(x, np.float64) ** 2)) for x in trees))

    gap = jax.tree.map(lambda x, y: np.asarray(x, np.float64) - y, a, b)
    return norm(jax.tree.leaves(gap)) / norm(jax.tree.leaves(b))
