"""Stage 1: the face model and its discriminator (VASA-1 3.1, MegaPortraits)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from vasa_jax.config import Config, FaceTrainConfig
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_code import batch_motions
from vasa_jax.extensions.build import build_face_model
from vasa_jax.extensions.label_losses import label_heads
from vasa_jax.extensions.objective import objective_terms, run_face_model
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.discriminator import Discriminator
from vasa_jax.face.forward import FaceNetworks, FaceOutputs, needs_partners
from vasa_jax.face.losses import discriminator_loss
from vasa_jax.means import Counts, Term, add_up, counts_of
from vasa_jax.perception.loss_networks import Perception
from vasa_jax.training.face_batches import REQUIRED, fake, from_named, named
from vasa_jax.training.face_networks import (
    bind_networks,
    build_discriminator,
    face_functions,
    face_optimizer,
    inputs_of_discriminator,
)
from vasa_jax.training.logs import ROWS
from vasa_jax.training.mesh import Layout
from vasa_jax.training.state import TrainState, accumulate, advanced, make_optimizer, update
from vasa_jax.typing import Array, Float, Image, Key, Motion

__all__ = ["FaceTrainer", "face_batch_struct", "face_trainer"]


def face_batch_struct(config: Config, batch: int, fields: tuple[str, ...] = ()) -> FaceBatch:
    """Shapes of a batch with the required parts and the optional ones of these names."""
    full = named(fake(config, batch))
    return from_named({name: full[name] for name in (*REQUIRED, *fields)})


@dataclass(frozen=True)
class FaceTrainer:
    """One generator (the face model and the heads of label losses) and one discriminator."""

    config: Config
    batch: FaceBatch
    """Shapes of a global batch."""
    frozen: Mapping[str, Any]
    """Parameters of the losses' networks: "vgg", "face", "identity"."""
    perception: Perception
    """The kinds of those networks."""
    optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    name: ClassVar[str] = "face"

    @property
    def train(self) -> FaceTrainConfig:
        return self.config.train_face

    @property
    def discriminator(self) -> Discriminator | None:
        return build_discriminator(self.config)

    def init(self, key: Key[Array, ""], frozen: Any) -> TrainState:
        """A fresh state; the discriminator is there only if a loss needs it."""
        del frozen
        config, keys = self.config, jax.random.split(key, 3)
        image = jnp.zeros(config.fake_image().shape)
        model, heads = build_face_model(config.face, config.dtype), label_heads(config)
        params = {"face": model.init(keys[0], image, image)["params"]}
        if heads:
            motion = jax.eval_shape(
                lambda: model.apply({"params": params["face"]}, image, method="encode_motion")
            )
            motion = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), motion)
        for k, (name, head) in enumerate(heads.items()):
            params[name] = head.init(jax.random.fold_in(keys[2], k), motion)["params"]
        discriminator = self.discriminator
        critic = {} if discriminator is None else dict(discriminator.init(keys[1], image))
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=self.optimizer.init(params),
            ema=jax.tree.map(jnp.copy, params),
            critic=critic,
            critic_opt=self.discriminator_optimizer.init(critic["params"]) if critic else {},
            constants={},
        )

    def step(
        self,
        layout: Layout,
        state: TrainState,
        frozen: Any,
        batch: FaceBatch,
        key: Key[Array, ""],
    ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        """One step of the generator and, on the images that it drew, one of the discriminator.

        Both see the parameters from before the step. Microbatches add up to the whole batch: their
        losses are divided by its counts, and they keep its pairs (see `FaceBatch`). Nothing here is
        random, so `key` is unused. Metrics: each loss, norms of gradients, updates, parameters.
        """
        del key
        config, train = self.config, self.train
        params, critic = layout.gather(state.params), layout.gather(state.critic)
        batch = layout.spread(batch)
        networks = bind_networks(self.perception, config, layout, frozen, critic)
        counts = None
        if train.accumulate > 1:
            counts = self._counts(layout, networks, params, state.step, batch)
        spectral = self._power_iteration(critic, batch) if critic else {}

        def microbatch(part):
            loss = partial(self._generator_loss, layout, networks, counts)
            generator = jax.value_and_grad(loss, has_aux=True)
            (_, (metrics, driven)), grads = generator(params, state.step, part)
            out = {"grads": layout.scatter(grads), "metrics": metrics}
            if critic:
                discriminator = jax.value_and_grad(partial(self._discriminator_loss, layout))
                driven = jax.lax.stop_gradient(driven)
                loss, grads = discriminator(critic["params"], spectral, part, driven)
                out |= {"critic_grads": layout.scatter(grads)}
                out["metrics"] |= {"critic_loss": loss}
            return out

        found = accumulate(microbatch, batch, train.accumulate, layout)
        after, norms = advanced(self.optimizer, train, state, found["grads"])
        metrics = found["metrics"] | norms
        if critic:
            fresh, fresh_opt, norms = update(
                self.discriminator_optimizer,
                found["critic_grads"],
                state.critic_opt,
                state.critic["params"],
            )
            metrics["critic_grad_norm"] = norms["grad_norm"]
            # It rests until its loss counts, or it would be far ahead of the generator by then.
            awake = state.step >= config.face_losses.adversarial.start
            trained = {"params": fresh, "spectral": spectral}, fresh_opt
            critic, critic_opt = jax.tree.map(
                lambda a, b: jnp.where(awake, a, b), trained, (state.critic, state.critic_opt)
            )
            after = after._replace(critic=critic, critic_opt=critic_opt)
        return after, metrics

    def samples(self, layout: Layout, ema: Any, frozen: Any, batch: FaceBatch) -> dict[str, Image]:
        """The columns of a sample grid, for the first few examples of a batch.

        self: the driver's motion; cross: that of the neighbour's driver; pose, dynamics: only one
        of the two from the driver, the other from the source.
        """
        del layout, frozen
        batch = jax.tree.map(lambda x: x[:ROWS], batch)
        face = face_functions(self.config, ema)
        source_motion, motion = batch_motions(self.config, batch, face.encode_motion)
        source = face.encode_source(batch.source.image, source_motion)
        other = jax.tree.map(lambda x: jnp.roll(x, 1, 0), motion)
        return {
            "source": batch.source.image,
            "driver": batch.driver.image,
            "self": face.decode(source, motion),
            "cross": face.decode(source, other),
            "pose": face.decode(source, Motion(motion.pose, source_motion.dyn)),
            "dynamics": face.decode(source, Motion(source_motion.pose, motion.dyn)),
        }

    def _outputs(
        self, layout: Layout, params: Any, batch: FaceBatch
    ) -> tuple[FaceOutputs, dict[str, tuple[Any, Any]]]:
        """What the face model makes of a batch, and what label heads read off its motion."""
        config = self.config
        face = face_functions(config, params, layout)
        motions = batch_motions(config, batch, face.encode_motion)
        scan = config.train_face.scan_decodes
        outputs = run_face_model(config.face_losses, face, batch, motions, scan)
        readings = {}
        for name, head in label_heads(config).items():
            read = partial(head.apply, {"params": params[name]})
            readings[name] = read(outputs.source_motion), read(outputs.driver_motion)
        return outputs, readings

    def _terms(self, batch: FaceBatch, made: Any, networks: FaceNetworks, step: Any) -> list[Term]:
        outputs, readings = made
        losses = self.config.face_losses
        return objective_terms(losses, batch, outputs, readings, networks, step)

    def _counts(self, layout, networks, params, step, batch) -> dict[str, Counts]:
        """What each loss is divided by over the whole batch. The data alone says so: images of
        zeros will do."""
        shapes = jax.eval_shape(partial(self._outputs, layout), params, batch)
        made = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return counts_of(self._terms(batch, made, networks, step))

    def _generator_loss(self, layout, networks, counts, params, step, batch):
        made = self._outputs(layout, params, batch)
        loss, metrics = add_up(self._terms(batch, made, networks, step), counts)
        return loss, (metrics | {"loss": loss}, made[0].driven)

    def _power_iteration(self, critic, batch):
        """The discriminator's spectral vectors after the one iteration of a step. They depend on
        its kernels alone, so one blank image will do."""
        blank = jnp.zeros((1, *batch.driver.image.shape[1:]), jnp.float32)
        _, fresh = self.discriminator.apply(critic, blank, mutable=["spectral"])
        return jax.lax.stop_gradient(fresh["spectral"])

    def _discriminator_loss(self, layout, params, spectral, batch, driven):
        inputs = inputs_of_discriminator(self.config)
        real, generated = inputs(self.config.face_losses, batch, driven)
        variables = {"params": params, "spectral": spectral}
        discriminator = partial(layout.by_example(self.discriminator.apply), variables)
        # Every example counts alike, and microbatches are of one size.
        loss = discriminator_loss(discriminator(real), discriminator(generated))
        return loss / self.train.accumulate


def face_trainer(
    config: Config,
    frozen: Any = None,
    perception: Perception | None = None,
    batch: FaceBatch | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> FaceTrainer:
    """The trainer of stage 1.

    frozen: parameters of the networks that the losses in `config.face_losses` need; perception:
    their kinds. batch: the fields that the data has, at the global batch size (default: the
    required ones, and face points). optimizer: of both players, for tests.
    Raises UserError for microbatches that would tear pairs apart, and for a batch without pairs.
    """
    size, count = config.train_face.batch, config.train_face.accumulate
    if size < 2 and needs_partners(config.face_losses):
        raise UserError(
            f"train_face.batch={size}: the losses contrast and cross_identity compare two examples "
            "and would be 0; make it 2, or --set face_losses.contrast.weight=0 --set "
            "face_losses.cross_identity.weight=0"
        )
    if count > 1 and size // count % 2 and needs_partners(config.face_losses):
        raise UserError(
            f"train_face.batch={size} in accumulate={count} microbatches of "
            f"{size // count}: the losses contrast and cross_identity take examples in "
            "pairs; make a microbatch's size even"
        )
    return FaceTrainer(
        config,
        face_batch_struct(config, size, ("driver_points",)) if batch is None else batch,
        frozen or {},
        perception or Perception(),
        optimizer or face_optimizer(config),
        optimizer or make_optimizer(config.train_face),
    )
