"""The programs of a part: many training steps in one dispatch, and its held-out check."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from recipes.demo import sanity_check
from recipes.demo.lease.parts import AUGMENT, Part
from recipes.demo.on_device.face_crops import sample_crops
from recipes.demo.on_device.pool import GroupArrays
from recipes.demo.on_device.pose_images import sample_pose_images
from recipes.demo.on_device.swap_groups import sample_swaps
from recipes.demo.stages.dyn_encoder_step import dyn_encoder_trainer
from vasa_jax.config import Config
from vasa_jax.data_pipeline.loading.pairs import PLAIN
from vasa_jax.perception.loss_networks import Perception
from vasa_jax.training.face_networks import face_optimizer
from vasa_jax.training.face_trainer import face_trainer
from vasa_jax.training.mesh import Layout
from vasa_jax.training.pose_trainer import pose_trainer
from vasa_jax.training.state import TrainState, make_optimizer
from vasa_jax.training.trainer import Trainer
from vasa_jax.typing import Array, Float, Int, Key

GATE_BATCH = 8


class Programs(NamedTuple):
    """Jitted, not compiled.

    run(state, frozen, pool, count, seed, rate) -> (state, mean metrics): `steps` steps, `state`
    donated. held(pool, count, key) -> a `FaceBatch` of held-out swaps, not augmented. encode,
    transfers: of `sanity_check`, for a batch.
    """

    part: Part
    config: Config
    task: Callable[[Float[Array, ""]], Trainer]
    run: Any
    held: Any
    encode: Any
    transfers: Any


def programs_of(part: Part, perception: Perception, layout: Layout) -> Programs:
    """A part's programs; nothing is traced yet."""
    config = part.config
    sample = _sampler(part, config)
    task = partial(_task, part, config, perception)

    def run(
        state: TrainState,
        frozen: Mapping[str, Any],
        pool: GroupArrays,
        count: Int[Array, ""],
        seed: Int[Array, ""],
        rate: Float[Array, ""],
    ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        def step(state, _):
            key = jax.random.fold_in(jax.random.key(seed), state.step)
            batch = sample(pool, count, key)
            state, metrics = task(rate).step(layout, state, frozen, batch, key)
            return state, metrics | {"learning_rate": rate}

        state, metrics = jax.lax.scan(step, state, length=part.steps)
        return state, jax.tree.map(jnp.mean, metrics)

    def held(pool: GroupArrays, count: Int[Array, ""], key: Key[Array, ""]):
        plain = PLAIN._replace(own=AUGMENT.own)
        return sample_swaps(pool, count, key, GATE_BATCH, part.size, plain)

    return Programs(
        part,
        config,
        task,
        jax.jit(run, donate_argnums=0),
        jax.jit(held),
        jax.jit(partial(sanity_check.encode, config)),
        jax.jit(partial(sanity_check.transfers, config)),
    )


def _sampler(part: Part, config: Config) -> Callable:
    if part.kind == "pose":
        return lambda pool, count, key: sample_pose_images(pool, count, key, part.batch, config)
    if part.kind == "dyn":
        return lambda pool, count, key: sample_crops(pool, count, key, part.batch, config)
    return lambda pool, count, key: sample_swaps(pool, count, key, part.batch, part.size, AUGMENT)


def _task(part: Part, config: Config, perception: Perception, rate: Float[Array, ""]) -> Trainer:
    """The part's task, with a learning rate that each dispatch sets."""
    if part.kind == "pose":
        return pose_trainer(config, optimizer=make_optimizer(config.train_pose, rate=rate))
    if part.kind == "dyn":
        return dyn_encoder_trainer(config, make_optimizer(config.train_face, rate=rate))
    return face_trainer(config, {}, perception, optimizer=face_optimizer(config, rate))


def begin(programs: Programs, shapes: TrainState, params: Mapping[str, Any]) -> TrainState:
    """An initial state with given parameters (`TrainState.params` of the part's task).

    shapes: of the state. The discriminator is initialised at random, on the CPU.
    """
    drawn = {}
    if shapes.critic:
        task = programs.task(jnp.float32(0))
        with jax.default_device(jax.devices("cpu")[0]):
            init = jax.jit(lambda key: task.init(key, {}).critic)
            drawn = jax.device_get(init(jax.random.key(0)))
    zeros = lambda tree: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), tree)  # noqa: E731
    copy = lambda tree: jax.tree.map(lambda x: jnp.array(x, copy=True), tree)  # noqa: E731
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=copy(params),
        opt_state=zeros(shapes.opt_state),
        ema=copy(params),
        critic=copy(drawn),
        critic_opt=zeros(shapes.critic_opt),
        constants={},
    )


def measure(
    programs: Programs,
    params: Mapping[str, Any],
    pool: GroupArrays,
    count: int,
    batches: int = 8,
) -> dict[str, float]:
    """The figures of `sanity_check` for a part, on the same held-out swaps every time.

    params: "face", with "arkit" and "gaze" for a part of the dynamics encoder.
    """
    keys = jax.random.split(jax.random.key(0), batches)
    held = [programs.held(pool, jnp.int32(count), key) for key in keys]
    draw = programs.part.kind == "generator"
    run = programs.encode, programs.transfers
    return sanity_check.measure(programs.config, params, held, not draw, draw, *run)


def better(kind: str, after: Mapping[str, float], before: Mapping[str, float]) -> bool:
    """Whether a part has improved on held-out people."""
    if kind == "pose":
        return after["pose_deg"] < before["pose_deg"]
    if kind == "dyn":
        return after["arkit_r2"] > before["arkit_r2"]
    # Perceptual and adversarial terms cost PSNR: 0.3 dB may be lost for the expression.
    sharper = after["expression_missed"] < before["expression_missed"]
    return sharper and after["swap_psnr"] > before["swap_psnr"] - 0.3
