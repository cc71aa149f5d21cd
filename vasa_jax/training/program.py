"""A trainer's step as one compiled, sharded, donating program."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.compile_cache import QUICK_COMPILE
from vasa_jax.errors import UserError
from vasa_jax.training.mesh import Layout, path_name
from vasa_jax.training.trainer import Trainer


class Program(NamedTuple):
    """The step of a trainer on a mesh, with the layouts of its inputs.

    jitted(state, frozen, batch) -> (state, metrics, finite): `state` is donated; `finite` holds one
    bool per metric, in the sorted order of their names.
    """

    jitted: Any
    state: Any
    frozen: Any
    batch: Any
    abstract_state: Any


def abstract_state(trainer: Trainer) -> Any:
    """The state's shapes and types, without memory."""
    return jax.eval_shape(
        lambda key, frozen: trainer.init(key, frozen), jax.random.key(0), trainer.frozen
    )


def build_program(trainer: Trainer, layout: Layout) -> Program:
    """Layouts of everything, and the step jitted with them.

    Raises UserError when the batch cannot be split as the mesh and `accumulate` ask.
    """
    ways, batch = layout.batch_ways(), trainer.train.batch
    if batch % (ways * trainer.train.accumulate):
        raise UserError(
            f"train_{trainer.name}.batch={batch} must be a multiple of data x fsdp x "
            f"accumulate = {ways} x {trainer.train.accumulate}"
        )
    abstract = abstract_state(trainer)
    state = layout.shardings(abstract)
    whole = layout.replicated()
    frozen = jax.tree.map(lambda _: whole, trainer.frozen)
    examples = jax.tree.map(lambda _: layout.batch(), trainer.batch)
    seed = trainer.train.seed

    def step(state, frozen, batch):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        state, metrics = trainer.step(layout, state, frozen, batch, key)
        finite = jnp.stack([jnp.isfinite(metrics[name]) for name in sorted(metrics)])
        return state, metrics, finite

    jitted = jax.jit(
        step,
        in_shardings=(state, frozen, examples),
        out_shardings=(state, whole, whole),
        donate_argnums=0,
    )
    with_layout = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, state
    )
    return Program(jitted, state, frozen, examples, with_layout)


def init_state(trainer: Trainer, program: Program) -> Any:
    """A fresh state, made on the devices where each part of it lies."""
    frozen = jax.device_put(trainer.frozen, program.frozen)
    make = jax.jit(
        trainer.init,
        in_shardings=(None, program.frozen),
        out_shardings=program.state,
        compiler_options=QUICK_COMPILE,
    )
    return make(jax.random.key(trainer.train.seed), frozen)


def put_batch(trainer: Trainer, program: Program, batch: Any) -> Any:
    """This host's examples as one global array per field.

    Raises UserError when a field has another shape than the stage needs.
    """
    _check_batch(trainer, batch)
    return jax.tree.map(
        lambda x, s: jax.make_array_from_process_local_data(s, np.asarray(x)), batch, program.batch
    )


def _check_batch(trainer, batch):
    wanted = jax.tree_util.tree_flatten_with_path(trainer.batch)[0]
    given = {path_name(p): x for p, x in jax.tree_util.tree_flatten_with_path(batch)[0]}
    hosts = jax.process_count()
    for path, spec in wanted:
        name = path_name(path)
        shape = (spec.shape[0] // hosts, *spec.shape[1:])
        if name not in given:
            raise UserError(f"the batch lacks {name!r}, which stage {trainer.name!r} needs")
        value = np.asarray(given.pop(name))
        if value.shape != shape or value.dtype.kind != np.dtype(spec.dtype).kind:
            raise UserError(
                f"batch field {name!r} is {value.dtype}{list(value.shape)}, but this "
                f"config needs {spec.dtype}{list(shape)} on each host; prepare the "
                "data with the same config"
            )
    if given:
        raise UserError(f"the batch has a field {sorted(given)[0]!r} that this config does not use")
