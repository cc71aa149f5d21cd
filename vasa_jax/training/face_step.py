"""Stage 1: one step of the face model and its discriminator (VASA-1 3.1, MegaPortraits)."""

import math
import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_code import batch_motions
from vasa_jax.extensions.build import build_face_model
from vasa_jax.extensions.face_patches import discriminator_patches
from vasa_jax.extensions.label_losses import label_heads
from vasa_jax.extensions.objective import objective_terms, run_face_model
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.batch import fake as fake_batch
from vasa_jax.face.discriminator import Discriminator
from vasa_jax.face.forward import (
    FaceFunctions,
    FaceNetworks,
    FaceOutputs,
    needs_partners,
)
from vasa_jax.face.losses import discriminator_inputs, discriminator_loss
from vasa_jax.means import Counts, add_up, counts_of
from vasa_jax.perception.align import VGGFACE, aligned_crop
from vasa_jax.perception.identity import identity_network
from vasa_jax.perception.loss_networks import Perception
from vasa_jax.training.logs import ROWS
from vasa_jax.training.mesh import Layout
from vasa_jax.training.state import (
    TrainState,
    accumulate,
    advanced,
    make_optimizer,
    remat,
    update,
)
from vasa_jax.training.task import Task
from vasa_jax.typing import Array, Float, Image, Key, Motion


def face_batch_struct(config: Config, batch: int, fields: tuple[str, ...] = ()) -> FaceBatch:
    """Shapes of a batch with the required fields and the named optional ones."""
    full = fake_batch(config, batch)
    kept = {"source", "driver", "identity", *fields}
    return full._replace(**{name: None for name in full._fields if name not in kept})


def _adversarial(config: Config) -> bool:
    adversarial = config.face_losses.adversarial
    return bool(adversarial.weight or adversarial.feature_matching)


def _discriminator(config: Config) -> Discriminator:
    adversarial = config.face_losses.adversarial
    return Discriminator(adversarial.scales, adversarial.widths, config.dtype)


def _frozen(config: Config) -> str:
    """A pattern of the names of the face model's parts whose parameters stay as they are, or "";
    for names alone as for paths that go on after them."""
    train = config.train_face
    held = [name for name in ("pose", "dyn") if getattr(train, f"freeze_{name}")]
    return "|".join(held)


def face_optimizer(
    config: Config, rate: Float[Array, ""] | None = None
) -> optax.GradientTransformation:
    """AdamW of the generator; parts that `train_face` freezes stay as they are.

    rate: as in `make_optimizer`.
    """
    held = _frozen(config)
    return make_optimizer(config.train_face, f"^face/({held})/" if held else "", rate)


def face_init(
    config: Config, key: Key[Array, ""], optimizer: Any, critic_optimizer: Any
) -> TrainState:
    """A fresh state; the critic is there only if a loss needs it."""
    keys = jax.random.split(key, 3)
    image = jnp.zeros(config.fake_image().shape)
    model = build_face_model(config.face, config.dtype)
    params = {"face": model.init(keys[0], image, image)["params"]}
    heads = label_heads(config)
    if heads:
        motion = jax.eval_shape(
            lambda: model.apply({"params": params["face"]}, image, method="encode_motion")
        )
        motion = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), motion)
    for k, (name, head) in enumerate(heads.items()):
        params[name] = head.init(jax.random.fold_in(keys[2], k), motion)["params"]
    critic = dict(_discriminator(config).init(keys[1], image)) if _adversarial(config) else {}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        ema=jax.tree.map(jnp.copy, params),
        critic=critic,
        critic_opt=critic_optimizer.init(critic["params"]) if critic else {},
        constants={},
    )


def face_step(
    config: Config,
    layout: Layout,
    state: TrainState,
    frozen: Any,
    batch: FaceBatch,
    key: Key[Array, ""],
    optimizer: optax.GradientTransformation | None = None,
    critic_optimizer: optax.GradientTransformation | None = None,
    perception: Perception | None = None,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """One step of the generator and, on the images it drew, one of the discriminator.

    Both see the parameters from before the step. Microbatches add up to the whole batch: their
    losses are divided by its counts, and they keep its pairs (see `FaceBatch`). frozen: parameters
    of the perception networks by name. Nothing here is random, so `key` is unused. Metrics: each
    loss, norms of gradients, updates, parameters.
    """
    del key
    train, perception = config.train_face, perception or Perception()
    optimizer = optimizer or face_optimizer(config)
    critic_optimizer = critic_optimizer or make_optimizer(train)
    params, critic = layout.gather(state.params), layout.gather(state.critic)
    batch = layout.spread(batch)
    networks = bind_networks(perception, config, layout, frozen, critic)
    counts = None
    if train.accumulate > 1:
        counts = _counts(config, layout, networks, params, state.step, batch)
    spectral = _power_iteration(config, critic, batch) if critic else {}

    def microbatch(part):
        generator = jax.value_and_grad(
            partial(_generator_loss, config, layout, networks, counts), has_aux=True
        )
        (_, (metrics, same)), grads = generator(params, state.step, part)
        out = {"grads": layout.scatter(grads), "metrics": metrics}
        if critic:
            judge = jax.value_and_grad(partial(_critic_loss, config, layout))
            loss, grads = judge(critic["params"], spectral, part, jax.lax.stop_gradient(same))
            out |= {"critic_grads": layout.scatter(grads)}
            out["metrics"] |= {"critic_loss": loss}
        return out

    found = accumulate(microbatch, batch, train.accumulate, layout)
    after, norms = advanced(optimizer, train, state, found["grads"])
    metrics = found["metrics"] | norms
    if critic:
        fresh, fresh_opt, norms = update(
            critic_optimizer, found["critic_grads"], state.critic_opt, state.critic["params"]
        )
        metrics["critic_grad_norm"] = norms["grad_norm"]
        # It sleeps until its loss counts, or it would be far ahead of the generator by then.
        awake = state.step >= config.face_losses.adversarial.start
        trained = {"params": fresh, "spectral": spectral}, fresh_opt
        critic, critic_opt = jax.tree.map(
            lambda a, b: jnp.where(awake, a, b), trained, (state.critic, state.critic_opt)
        )
        after = after._replace(critic=critic, critic_opt=critic_opt)
    return after, metrics


def bind_networks(
    perception: Perception, config: Config, layout: Layout, frozen: Any, critic: Any
) -> FaceNetworks:
    """The losses' networks with parameters bound, each on a device's own examples."""
    vgg = face = identity = judge = None
    if "vgg" in frozen:
        apply = layout.by_example(lambda p, x: perception.vgg.apply({"params": p}, x))
        vgg = partial(remat(apply, config.train_face.remat), frozen["vgg"])
    if "face" in frozen:

        def features(params, images, points):
            chips = aligned_crop(images, points, VGGFACE, _shrink(config, VGGFACE.size))
            return perception.face.apply({"params": params}, chips)

        apply = remat(layout.by_example(features), config.train_face.remat)
        face = partial(apply, frozen["face"])
    if "identity" in frozen:
        shrink, kind = _shrink(config, 130), perception.identity  # chips are 112 to 150 pixels wide
        apply = layout.by_example(
            lambda p, images, points: identity_network(kind, p, shrink)(images, points)
        )
        identity = partial(apply, frozen["identity"])
    if critic:
        judge = partial(layout.by_example(_discriminator(config).apply), critic)
    return FaceNetworks(vgg, face, identity, judge, _discriminator_inputs(config))


def _shrink(config: Config, chip: int) -> int:
    """How many pixels of a picture a chip's pixel is made of: a face fills about 0.6 of it."""
    return 2 ** max(0, round(math.log2(0.6 * config.face.image_size / chip)))


def face_functions(config: Config, params: Any, layout: Layout | None = None) -> FaceFunctions:
    """The face model's parts, each with its own rematerialisation, on a device's own examples.

    Parameters of frozen parts get no gradient; the pictures that these parts read do.
    """
    model, face = build_face_model(config.face, config.dtype), params["face"]
    held = _frozen(config)
    face = {
        name: jax.lax.stop_gradient(part) if held and re.fullmatch(held, name) else part
        for name, part in face.items()
    }

    def part(name):
        def apply(params, *inputs):
            return model.apply({"params": params}, *inputs, method=name)

        run = apply if layout is None else layout.by_example(apply)
        return partial(remat(run, config.train_face.remat), face)

    return FaceFunctions(*(part(name) for name in FaceFunctions._fields))


def _outputs(
    config: Config, layout: Layout, params: Any, batch: FaceBatch
) -> tuple[FaceOutputs, dict[str, tuple[Array, Array]]]:
    """What the face model makes of a batch, and what the heads of labels read off its motion."""
    face = face_functions(config, params, layout)
    motions = batch_motions(config, batch, face.encode_motion)
    scan = config.train_face.scan_decodes
    outputs = run_face_model(config.face_losses, face, batch, motions, scan)
    readings = {}
    for name, head in label_heads(config).items():
        read = partial(head.apply, {"params": params[name]})
        readings[name] = read(outputs.source_motion), read(outputs.driver_motion)
    return outputs, readings


def _terms(config, batch, made, networks, step):
    return objective_terms(config.face_losses, batch, *made, networks, step)


def _counts(config, layout, networks, params, step, batch) -> dict[str, Counts]:
    """What each loss is divided by over the whole batch. The data alone says so: images of zeros
    will do."""
    shapes = jax.eval_shape(partial(_outputs, config, layout), params, batch)
    made = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return counts_of(_terms(config, batch, made, networks, step))


def _generator_loss(config, layout, networks, counts, params, step, batch):
    made = _outputs(config, layout, params, batch)
    loss, metrics = add_up(_terms(config, batch, made, networks, step), counts)
    return loss, (metrics | {"loss": loss}, made[0].driven)


def _discriminator_inputs(config: Config):
    patches = config.face_losses.adversarial.face_patches
    return discriminator_patches if patches else discriminator_inputs


def _power_iteration(config, critic, batch):
    """The critic's spectral vectors after the one iteration of a step. It looks at the kernels
    alone, so one blank image will do."""
    blank = jnp.zeros((1, *batch.driver.shape[1:]), jnp.float32)
    _, fresh = _discriminator(config).apply(critic, blank, mutable=["spectral"])
    return jax.lax.stop_gradient(fresh["spectral"])


def _critic_loss(config, layout, params, spectral, batch, same):
    real, fake = _discriminator_inputs(config)(config.face_losses, batch, same)
    variables = {"params": params, "spectral": spectral}
    judge = partial(layout.by_example(_discriminator(config).apply), variables)
    # Every example counts alike, and microbatches are of one size.
    return discriminator_loss(judge(real), judge(fake)) / config.train_face.accumulate


def face_samples(config: Config, ema: Any, batch: FaceBatch) -> dict[str, Image]:
    """The columns of a sample grid, for the first few examples of a batch.

    self: the driver's motion; cross: that of the neighbour's driver; pose, dynamics: only one of
    the two from the driver, the other from the source.
    """
    batch = jax.tree.map(lambda x: x[:ROWS], batch)
    face = face_functions(config, ema)
    source_motion, motion = batch_motions(config, batch, face.encode_motion)
    source = face.encode_source(batch.source, source_motion)
    other = jax.tree.map(lambda x: jnp.roll(x, 1, 0), motion)
    return {
        "source": batch.source,
        "driver": batch.driver,
        "self": face.decode(source, motion),
        "cross": face.decode(source, other),
        "pose": face.decode(source, Motion(motion.pose, source_motion.dyn)),
        "dynamics": face.decode(source, Motion(source_motion.pose, motion.dyn)),
    }


def face_task(
    config: Config,
    frozen: Any = None,
    perception: Perception | None = None,
    batch: FaceBatch | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Task:
    """Stage 1 for the loop.

    frozen: parameters of the perception networks that the losses in `config.face_losses` need
    ("vgg", "face", "identity"); perception: their kinds. batch: the fields that the data has, at
    the global batch size (default: the required ones, and face points). optimizer: of both players,
    for tests.
    Raises UserError for microbatches that would tear pairs apart.
    """
    generator = optimizer or face_optimizer(config)
    critic = optimizer or make_optimizer(config.train_face)
    size, count = config.train_face.batch, config.train_face.accumulate
    if count > 1 and size // count % 2 and needs_partners(config.face_losses):
        raise UserError(
            f"train_face.batch={size} in accumulate={count} microbatches of "
            f"{size // count}: the losses contrast and cross_identity take examples in "
            "pairs; make a microbatch's size even"
        )
    batch = face_batch_struct(config, size, ("driver_points",)) if batch is None else batch
    return Task(
        name="face",
        config=config,
        train=config.train_face,
        init=lambda key, frozen: face_init(config, key, generator, critic),
        step=lambda layout, state, frozen, batch, key: face_step(
            config, layout, state, frozen, batch, key, generator, critic, perception
        ),
        batch=batch,
        frozen=frozen or {},
        samples=lambda layout, ema, frozen, batch: face_samples(config, ema, batch),
    )
