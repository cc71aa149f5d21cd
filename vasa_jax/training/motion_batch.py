"""The batch that stage 2 trains on, and its audio features."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vasa_jax.audio import build_audio_encoder
from vasa_jax.audio.mel import MelEncoder
from vasa_jax.config import Config
from vasa_jax.extensions.neutral_context import mute_context
from vasa_jax.training.mesh import Layout
from vasa_jax.typing import SAMPLES_PER_FRAME, Array, Bool, Float

__all__ = ["MotionBatch", "audio_margin", "motion_batch_struct", "window_features"]


class MotionBatch(NamedTuple):
    """K + W consecutive frames of a clip at 25 fps: the context of a window, then the window.

    One of `audio` and `waveform` is None. Frames before the clip's start and past its end must be
    finite and are ignored.
    """

    motion: Float[Array, "b f m"]
    """[pose, z_dyn] in the face model's units."""
    valid: Bool[Array, "b f"]
    """The frame exists."""
    gaze: Float[Array, "b 2"]
    """(yaw, pitch), radians."""
    distance: Float[Array, "b 1"]
    """1 is the data's mean."""
    emotion: Float[Array, "b 8"]
    """Shares of `EMOTIONS`."""
    has_gaze: Bool[Array, " b"]
    has_distance: Bool[Array, " b"]
    has_emotion: Bool[Array, " b"]
    audio: Float[Array, "b f a"] | None = None
    """Features of a frozen encoder, taken over the whole clip and sliced."""
    waveform: Float[Array, "b n"] | None = None
    """For an encoder that is trained along: 16 kHz samples of the frames, with `audio_margin`
    frames more on each side."""
    heard: Bool[Array, "b g"] | None = None
    """Which frames of the waveform the clip has; None: all."""
    rests: Bool[Array, " b"] | None = None
    """Extension (`vasa_jax.extensions.neutral_context`): the window is a clip's first, its context
    a neutral face in silence, whatever the waveform holds there; None: none."""


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


def window_features(
    config: Config, layout: Layout, params: Any, batch: MotionBatch
) -> Float[Array, "b f a"]:
    """The sound of a batch as inference hears it (`Pipeline.audio`), neutral starts included."""
    if batch.audio is not None:
        return batch.audio
    waveform = batch.waveform
    assert waveform is not None  # one of the two is there
    margin, context = audio_margin(config), config.motion.context
    encoder = build_audio_encoder(config.audio, config.dtype)
    heard, rests = batch.heard, batch.rests
    if heard is None:
        heard = jnp.ones((len(waveform), batch.motion.shape[1] + 2 * margin), bool)

    def encode(params, wave, heard):
        return encoder.apply({"params": params}, wave, inside=heard)

    features = layout.by_example(encode)(params["audio"], waveform, heard)
    features = features[:, margin : margin + batch.motion.shape[1]].astype(jnp.float32)
    if rests is None:
        return features
    silence = jnp.zeros((1, context * SAMPLES_PER_FRAME), jnp.float32)
    silence = encoder.apply({"params": params["audio"]}, silence).astype(jnp.float32)
    return mute_context(features, silence, rests)
