"""Stage 2: the diffusion transformer over motion (VASA-1 section 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vasa_jax.audio import build_audio_encoder
from vasa_jax.config import Config, MotionTrainConfig
from vasa_jax.extensions.build import build_motion_model, init_motion_model
from vasa_jax.extensions.lip_loss import lip_terms
from vasa_jax.extensions.residual_prior import PARAMETER, pack_correlation
from vasa_jax.means import Term, add_up, counts_of
from vasa_jax.motion.conditions import Conditions, drop_conditions
from vasa_jax.motion.diffusion import Schedule, q_sample, x0_terms
from vasa_jax.motion.sampler import LinenNetwork
from vasa_jax.motion.stats import MotionStats
from vasa_jax.motion.target import Target
from vasa_jax.training.mesh import Layout
from vasa_jax.training.motion_batch import MotionBatch, motion_batch_struct, window_features
from vasa_jax.training.state import TrainState, accumulate, advanced, make_optimizer, remat
from vasa_jax.typing import SAMPLES_PER_FRAME, Array, Bool, Float, Key

__all__ = ["MotionTrainer", "motion_trainer"]


class _Drawn(NamedTuple):
    """A batch with all its random draws, so that microbatches change nothing; motion is
    normalised."""

    batch: MotionBatch
    conditions: Conditions
    t: Any
    noise: Any


class _Target(NamedTuple):
    """What a prediction is compared with."""

    x0: Float[Array, "b w m"]
    scale: Float[Array, "b w m"]
    """Normalised motion per unit of x0."""
    valid: Bool[Array, "b w"]
    before: tuple[Any, ...]
    """The frames before the window and whether they are known, where differences count across."""


@dataclass(frozen=True)
class MotionTrainer:
    """The transformer, with the audio encoder where that is trained along."""

    config: Config
    batch: MotionBatch
    """Shapes of a global batch."""
    frozen: Mapping[str, Any]
    """"stats": MotionStats of the data. "correlations": of the data, for
    `motion.extensions.residual_prior`; optional."""
    optimizer: optax.GradientTransformation
    name: ClassVar[str] = "motion"

    @property
    def train(self) -> MotionTrainConfig:
        return self.config.train_motion

    def init(self, key: Key[Array, ""], frozen: Any) -> TrainState:
        """A fresh state; a trainable audio encoder's parameters lie beside the transformer's."""
        config, keys = self.config, jax.random.split(key)
        params = {"motion": init_motion_model(config, keys[0])["params"]}
        if config.motion.extensions.residual_prior and "correlations" in frozen:
            params["motion"] |= {PARAMETER: pack_correlation(frozen["correlations"])}
        if config.audio.encoder == "mel":
            wave = jnp.zeros((1, SAMPLES_PER_FRAME * 4), jnp.float32)
            params["audio"] = build_audio_encoder(config.audio).init(keys[1], wave)["params"]
        stats = frozen["stats"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=self.optimizer.init(params),
            ema=jax.tree.map(jnp.copy, params),
            critic={},
            critic_opt={},
            constants={"mean": jnp.asarray(stats.mean), "std": jnp.asarray(stats.std)},
        )

    def step(
        self,
        layout: Layout,
        state: TrainState,
        frozen: Any,
        batch: MotionBatch,
        key: Key[Array, ""],
    ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        """One step: drop conditions, add noise, predict x0, AdamW, running average.

        Metrics: loss and its parts, norms of gradient, update and parameters.
        """
        del frozen  # the state holds the statistics
        train, params = self.train, layout.gather(state.params)
        stats = MotionStats(**state.constants)
        drawn = self._draw(stats, layout.spread(batch), key)
        counts = None
        if train.accumulate > 1:
            target = self._target(params, drawn.batch, drawn.conditions)
            # The data alone says so: no prediction is needed.
            silent = jnp.zeros_like(target.x0)
            counts = counts_of(self._terms(stats, drawn.batch, target, silent))
        loss = remat(partial(self._loss, layout, stats, counts), train.remat)

        def microbatch(part):
            (_, parts), grads = jax.value_and_grad(loss, has_aux=True)(params, part)
            return layout.scatter(grads), parts

        grads, metrics = accumulate(microbatch, drawn, train.accumulate, layout)
        state, norms = advanced(self.optimizer, train, state, grads)
        return state, metrics | norms

    def samples(self, layout: Layout, ema: Any, frozen: Any, batch: Any) -> dict[str, Any]:
        """None: motion has no picture of its own."""
        del layout, ema, frozen, batch
        return {}

    def _draw(self, stats, batch, key) -> _Drawn:
        config = self.config
        drop, key_t, key_noise = jax.random.split(key, 3)
        b, k, w = batch.motion.shape[0], config.motion.context, config.motion.window
        motion = stats.normalise(batch.motion)
        audio = jnp.zeros((b, k + w, config.audio.dim))  # filled in by `_loss`, which trains it
        conditions = Conditions(
            motion_context=motion[:, :k],
            audio_context=audio[:, :k],
            audio=audio[:, k:],
            gaze=batch.gaze,
            distance=batch.distance,
            emotion=batch.emotion,
            has_context=batch.valid[:, :k].all(axis=1),
            has_audio=jnp.ones(b, bool),
            has_gaze=batch.has_gaze,
            has_distance=batch.has_distance,
            has_emotion=batch.has_emotion,
            audio_valid=batch.valid[:, k:],
        )
        return _Drawn(
            batch=batch._replace(motion=motion),
            conditions=drop_conditions(drop, conditions, config.train_motion),
            t=jax.random.randint(key_t, (b,), 0, config.diffusion.timesteps),
            noise=jax.random.normal(key_noise, (b, w, motion.shape[-1]), jnp.float32),
        )

    def _target(self, params, batch, conditions) -> _Target:
        k = self.config.motion.context
        motion, valid = batch.motion[:, k:], batch.valid[:, k:]
        variables = {"params": params["motion"]}
        model = build_motion_model(self.config)
        target: Target = LinenNetwork(model).target(variables, conditions)
        x0 = target.encode(motion)
        before = (conditions.motion_context, conditions.has_context) if target.continues else ()
        return _Target(x0, target.scale(x0), valid, before)

    def _terms(self, stats, batch, target: _Target, x0_hat) -> list[Term]:
        """The losses of a prediction."""
        terms = x0_terms(x0_hat, target.x0, target.valid, self.train, *target.before)
        error = (x0_hat - target.x0) * target.scale
        motion = batch.motion[:, self.config.motion.context :]
        return terms + lip_terms(self.train.lips_weight, stats, error, motion, target.valid)

    def _loss(self, layout, stats, counts, params, drawn: _Drawn):
        config, k = self.config, self.config.motion.context
        audio = window_features(config, layout, params, drawn.batch)
        conditions = drawn.conditions._replace(audio_context=audio[:, :k], audio=audio[:, k:])
        target = self._target(params, drawn.batch, conditions)
        schedule = Schedule(config.diffusion.schedule, config.diffusion.timesteps)
        x_t = q_sample(schedule, target.x0, drawn.t, drawn.noise)
        model = build_motion_model(config)
        network = layout.by_example(lambda p, *inputs: model.apply({"params": p}, *inputs))
        x0_hat = network(params["motion"], x_t, drawn.t, conditions, target.valid)
        loss, parts = add_up(self._terms(stats, drawn.batch, target, x0_hat), counts)
        return loss, {"loss": loss} | parts


def motion_trainer(
    config: Config,
    frozen: Any = None,
    optimizer: optax.GradientTransformation | None = None,
    batch: MotionBatch | None = None,
) -> MotionTrainer:
    """The trainer of stage 2. frozen: as `MotionTrainer.frozen`; without "stats" motion is taken to
    be z-scored already."""
    dim = config.face.motion_dim
    plain = MotionStats(np.zeros(dim, np.float32), np.ones(dim, np.float32))
    return MotionTrainer(
        config,
        motion_batch_struct(config, config.train_motion.batch) if batch is None else batch,
        {"stats": plain} | (frozen or {}),
        optimizer or make_optimizer(config.train_motion),
    )
