"""Stage 2: one step of the diffusion transformer over motion (VASA-1 section 3.2)."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vasa_jax.audio import build_audio_encoder
from vasa_jax.audio.mel import MelEncoder
from vasa_jax.config import Config
from vasa_jax.extensions.build import build_motion_model, init_motion_model
from vasa_jax.extensions.lip_loss import lip_terms
from vasa_jax.extensions.neutral_context import mute_context
from vasa_jax.extensions.residual_prior import PARAMETER, pack_correlation
from vasa_jax.means import add_up, counts_of
from vasa_jax.motion.conditions import Conditions, drop_conditions
from vasa_jax.motion.diffusion import Schedule, q_sample, x0_terms
from vasa_jax.motion.stats import MotionStats
from vasa_jax.training.mesh import Layout
from vasa_jax.training.state import (
    TrainState,
    accumulate,
    advanced,
    make_optimizer,
    remat,
)
from vasa_jax.training.task import Task
from vasa_jax.typing import SAMPLES_PER_FRAME, Array, Bool, Float, Key


class MotionBatch(NamedTuple):
    """K + W consecutive frames of a clip at 25 fps: the context of a window, then the window.

    motion: [pose, z_dyn] in the face model's units. valid: the frame exists; frames before the
    clip's start and past its end must be finite and are ignored. audio: features of a frozen
    encoder, taken over the whole clip and sliced; or, for an encoder that is trained along,
    waveform: 16 kHz samples of the frames with `audio_margin` frames more on each side. The unused
    one is None.
    gaze: (yaw, pitch), radians. distance: 1 is the data's mean. emotion: shares of `EMOTIONS`.
    has_*: the label is known.
    heard: which frames of the waveform the clip has (None: all). rests: whether the window is a
    clip's first, after a portrait that waited in silence (None: none); its context's sound is
    silence, whatever the waveform holds there.
    """

    motion: Float[Array, "b f m"]
    valid: Bool[Array, "b f"]
    gaze: Float[Array, "b 2"]
    distance: Float[Array, "b 1"]
    emotion: Float[Array, "b 8"]
    has_gaze: Bool[Array, " b"]
    has_distance: Bool[Array, " b"]
    has_emotion: Bool[Array, " b"]
    audio: Float[Array, "b f a"] | None = None
    waveform: Float[Array, "b n"] | None = None
    heard: Bool[Array, "b g"] | None = None
    rests: Bool[Array, " b"] | None = None


class _Drawn(NamedTuple):
    """A batch with all its random draws, so that microbatches change nothing."""

    batch: MotionBatch
    conditions: Conditions
    t: Any
    noise: Any


def audio_margin(config: Config) -> int:
    """Frames of sound beyond the window on each side, so that features of its first and last frames
    are those of the whole clip. For `mel`, the encoder that is trained on windows."""
    encoder = build_audio_encoder(config.audio)
    # One more than the network's reach: the spectrogram's window overlaps the next frame.
    return encoder.receptive_frames + 1 if isinstance(encoder, MelEncoder) else 0


def motion_batch_struct(config: Config, batch: int) -> MotionBatch:
    """Shapes of a batch: with sound where the encoder is trained along, which is `mel`, else with
    features, which depend on more of a clip than a window."""
    frames = config.motion.context + config.motion.window
    trained = config.audio.encoder == "mel"
    heard = frames + 2 * audio_margin(config) if trained else 0

    def f32(*shape):
        return jax.ShapeDtypeStruct((batch, *shape), jnp.float32)

    def flags(*shape):
        return jax.ShapeDtypeStruct((batch, *shape), jnp.bool_)

    return MotionBatch(
        motion=f32(frames, config.face.motion_dim),
        valid=flags(frames),
        audio=None if trained else f32(frames, config.audio.dim),
        waveform=f32(heard * SAMPLES_PER_FRAME) if trained else None,
        heard=flags(heard) if trained else None,
        rests=flags() if trained and config.motion.extensions.neutral_start else None,
        gaze=f32(config.motion.gaze_dim),
        distance=f32(config.motion.distance_dim),
        emotion=f32(config.motion.emotion_dim),
        has_gaze=flags(),
        has_distance=flags(),
        has_emotion=flags(),
    )


def motion_init(config: Config, key: Key[Array, ""], frozen: Any, optimizer: Any) -> TrainState:
    """A fresh state; a trainable audio encoder's parameters lie beside the transformer's."""
    keys = jax.random.split(key)
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
        opt_state=optimizer.init(params),
        ema=jax.tree.map(jnp.copy, params),
        critic={},
        critic_opt={},
        constants={"mean": jnp.asarray(stats.mean), "std": jnp.asarray(stats.std)},
    )


def motion_step(
    config: Config,
    layout: Layout,
    state: TrainState,
    frozen: Any,
    batch: MotionBatch,
    key: Key[Array, ""],
    optimizer: optax.GradientTransformation | None = None,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """One step: drop conditions, add noise, predict x0, AdamW, running average.

    frozen: {"stats": …}. Metrics: loss and its parts, norms of gradient, update and parameters.
    """
    train = config.train_motion
    optimizer = optimizer or make_optimizer(train)
    params = layout.gather(state.params)
    stats = MotionStats(**state.constants)
    drawn = _draw(config, stats, layout.spread(batch), key)
    counts = None
    if train.accumulate > 1:
        target = _target(config, params, drawn.batch, drawn.conditions)
        # The data alone says so: no prediction is needed.
        counts = counts_of(_terms(config, stats, drawn.batch, target, jnp.zeros_like(target.x0)))
    loss = partial(_loss, config, layout, stats, counts)

    def microbatch(part):
        (_, parts), grads = jax.value_and_grad(remat(loss, train.remat), has_aux=True)(params, part)
        return layout.scatter(grads), parts

    grads, metrics = accumulate(microbatch, drawn, train.accumulate, layout)
    state, norms = advanced(optimizer, train, state, grads)
    return state, metrics | norms


def _draw(config, stats, batch, key):
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


class _Target(NamedTuple):
    """What a prediction is compared with. spread: normalised motion of one unit of x0. before: the
    frames before the window and whether they are known, where differences go on from them."""

    x0: Float[Array, "b w m"]
    spread: Float[Array, "b w m"]
    valid: Bool[Array, "b w"]
    before: tuple[Any, ...]


def _target(config, params, batch, conditions):
    k = config.motion.context
    motion, valid = batch.motion[:, k:], batch.valid[:, k:]
    variables = {"params": params["motion"]}
    target = build_motion_model(config).apply(variables, conditions, method="target")
    x0 = target.encode(motion)
    before = (conditions.motion_context, conditions.has_context) if target.continues else ()
    return _Target(x0, target.scale(x0), valid, before)


def _terms(config, stats, batch, target, x0_hat):
    """The losses of a prediction."""
    terms = x0_terms(x0_hat, target.x0, target.valid, config.train_motion, *target.before)
    error = (x0_hat - target.x0) * target.spread
    motion = batch.motion[:, config.motion.context :]
    return terms + lip_terms(config.train_motion.lips_weight, stats, error, motion, target.valid)


def _loss(config, layout, stats, counts, params, drawn):
    k = config.motion.context
    batch = drawn.batch
    audio = window_features(config, layout, params, batch)
    conditions = drawn.conditions._replace(audio_context=audio[:, :k], audio=audio[:, k:])
    target = _target(config, params, batch, conditions)
    schedule = Schedule(config.diffusion.schedule, config.diffusion.timesteps)
    x_t = q_sample(schedule, target.x0, drawn.t, drawn.noise)
    network = layout.by_example(
        lambda p, *inputs: build_motion_model(config).apply({"params": p}, *inputs)
    )
    x0_hat = network(params["motion"], x_t, drawn.t, conditions, target.valid)
    loss, parts = add_up(_terms(config, stats, batch, target, x0_hat), counts)
    return loss, {"loss": loss} | parts


def window_features(
    config: Config, layout: Layout, params: Any, batch: MotionBatch
) -> Float[Array, "b f a"]:
    """The sound of a batch as inference hears it (`Pipeline.audio`), neutral starts included."""
    if batch.waveform is None:
        return batch.audio
    margin, context = audio_margin(config), config.motion.context
    encoder = build_audio_encoder(config.audio, config.dtype)
    heard, rests = batch.heard, batch.rests
    if heard is None:
        heard = jnp.ones((len(batch.waveform), batch.motion.shape[1] + 2 * margin), bool)

    def encode(params, wave, heard):
        return encoder.apply({"params": params}, wave, inside=heard)

    features = layout.by_example(encode)(params["audio"], batch.waveform, heard)
    features = features[:, margin : margin + batch.motion.shape[1]].astype(jnp.float32)
    if rests is None:
        return features
    silence = jnp.zeros((1, context * SAMPLES_PER_FRAME), jnp.float32)
    silence = encoder.apply({"params": params["audio"]}, silence).astype(jnp.float32)
    return mute_context(features, silence, rests)


def motion_task(
    config: Config,
    frozen: Any = None,
    optimizer: optax.GradientTransformation | None = None,
    batch: MotionBatch | None = None,
) -> Task:
    """Stage 2 for the loop. frozen: {"stats": MotionStats of the data (default: none needed, the
    motion is z-scored already), "correlations": of the data, for `motion.extensions.residual_prior`
    (`vasa_jax.extensions.residual_prior`)}."""
    dim = config.face.motion_dim
    plain = MotionStats(np.zeros(dim, np.float32), np.ones(dim, np.float32))
    frozen = {"stats": plain} | (frozen or {})
    optimizer = optimizer or make_optimizer(config.train_motion)
    struct = motion_batch_struct(config, config.train_motion.batch)
    return Task(
        name="motion",
        config=config,
        train=config.train_motion,
        init=lambda key, frozen: motion_init(config, key, frozen, optimizer),
        step=lambda layout, state, frozen, batch, key: motion_step(
            config, layout, state, frozen, batch, key, optimizer
        ),
        batch=struct if batch is None else batch,
        frozen=frozen,
    )
