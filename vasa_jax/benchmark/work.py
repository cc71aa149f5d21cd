"""FLOPs and memory traffic of a function, counted from its jaxpr: equal on every machine.

XLA's `cost_analysis` counts the body of a loop once and, on a GPU, nothing inside of library calls.
This count multiplies by the trips of a scan, and is a lower bound for any compiler.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np


class Work(NamedTuple):
    """Work of one call."""

    # Of matrix products and convolutions; a multiply-add counts two, taps on padding or on the
    # holes of a dilated convolution none.
    flops: int
    # Operands and results of each product, convolution, gather and scatter, and the program's other
    # arguments and results. Elementwise operations and reductions count as fused into these.
    bytes: int
    open_loops: int = 0  # while loops: their trips are unknown and count as one

    def __add__(self, other: Any) -> "Work":
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, trips: int) -> "Work":
        """The work of a loop of `trips`."""
        return Work(self.flops * trips, self.bytes * trips, self.open_loops)


NOTHING = Work(0, 0)
PRODUCTS = ("dot_general", "conv_general_dilated")


def count_work(function: Callable[..., Any], *arguments: Any) -> Work:
    """Work of `function(*arguments)`; arguments may be ShapeDtypeStructs."""
    closed = jax.make_jaxpr(function)(*arguments)
    return count_jaxpr(closed)


def count_jaxpr(closed: Any) -> Work:
    """Work of a closed jaxpr, for example of `jax.jit(f).trace(…).jaxpr`."""
    jaxpr = closed.jaxpr
    while len(jaxpr.eqns) == 1 and jaxpr.eqns[0].primitive.name in ("jit", "pjit"):
        (jaxpr,) = _inner(jaxpr.eqns[0].params)  # the function was jitted already
    counted: set[int] = set()
    used = set(map(id, jaxpr.outvars))
    for equation in jaxpr.eqns:
        operands = set(map(id, (*equation.invars, *equation.outvars)))
        used |= operands
        if equation.primitive.name in PRODUCTS:
            counted |= operands
    ends = {id(v): v for v in (*jaxpr.invars, *jaxpr.constvars, *jaxpr.outvars)}
    plain = sum(_bytes(v) for i, v in ends.items() if i in used and i not in counted)
    return _walk(jaxpr) + Work(0, plain)


def work_by_kind(closed: Any) -> dict[str, Work]:
    """Work of a closed jaxpr by operation: "dot", "conv 2-D", "conv 3-D", "gather", "scatter".

    Arguments and results of none of these are left out.
    """
    return _kinds(closed.jaxpr)


def _kinds(jaxpr) -> dict[str, Work]:
    total: dict[str, Work] = {}

    def add(found: dict[str, Work], trips: int = 1) -> None:
        for kind, work in found.items():
            total[kind] = total.get(kind, NOTHING) + work.times(trips)

    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        inner = [_kinds(body) for body in _inner(params)]
        if name == "dot_general":
            add({"dot": _equation(equation)})
        elif name == "conv_general_dilated":
            axes = len(equation.outvars[0].aval.shape) - 2
            add({f"conv {axes}-D": _equation(equation)})
        elif name == "gather" or name.startswith("scatter"):
            add({name.split("-")[0].split("_")[0]: _equation(equation)})
        elif name == "scan":
            add(inner[0], params["length"])
        elif name == "cond":
            add(max(inner, key=lambda found: sum(found.values(), NOTHING)))
        else:
            for found in inner:
                add(found)
    return total


def _walk(jaxpr) -> Work:
    total = NOTHING
    for equation in jaxpr.eqns:
        total = total + _equation(equation)
    return total


def _equation(equation) -> Work:
    name, params = equation.primitive.name, equation.params
    moved = sum(_bytes(v) for v in (*equation.invars, *equation.outvars))
    if name == "dot_general":
        return Work(_dot_flops(equation), moved)
    if name == "conv_general_dilated":
        return Work(_conv_flops(equation), moved)
    if name == "gather":
        return Work(0, _bytes(equation.invars[1]) + 2 * _bytes(equation.outvars[0]))
    if name.startswith("scatter"):
        return Work(0, _bytes(equation.invars[1]) + 3 * _bytes(equation.invars[2]))
    inner = [_walk(jaxpr) for jaxpr in _inner(params)]
    if name == "scan":
        return inner[0].times(params["length"])
    if name == "cond":
        return max(inner)
    if name == "while":
        return inner[0] + inner[1] + Work(0, 0, 1)
    return sum(inner, NOTHING)


def _inner(params) -> Iterator[Any]:
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            jaxpr = getattr(item, "jaxpr", item)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr


def _bytes(variable) -> int:
    aval = variable.aval
    try:
        return math.prod(aval.shape) * np.dtype(aval.dtype).itemsize
    except (AttributeError, TypeError):  # keys and tokens
        return 0


def _dot_flops(equation) -> int:
    (contract, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contract)


def _conv_flops(equation) -> int:
    p, (left, right) = equation.params, (v.aval.shape for v in equation.invars)
    out, numbers = equation.outvars[0].aval.shape, equation.params["dimension_numbers"]
    flops = 2 * out[numbers.out_spec[0]] * out[numbers.out_spec[1]] * right[numbers.rhs_spec[1]]
    for i, (low, _) in enumerate(p["padding"]):
        flops *= _taps(
            left[numbers.lhs_spec[i + 2]],
            right[numbers.rhs_spec[i + 2]],
            out[numbers.out_spec[i + 2]],
            p["window_strides"][i],
            low,
            p["lhs_dilation"][i],
            p["rhs_dilation"][i],
        )
    return flops


def _taps(size: int, kernel: int, out: int, stride: int, low: int, holes: int, spread: int) -> int:
    """Pairs (output index, kernel tap) along one axis that read an input element."""
    place = np.arange(out)[:, None] * stride + np.arange(kernel) * spread - low
    return int(((place >= 0) & (place % holes == 0) & (place < size * holes)).sum())
