"""The audio encoder of a config."""

import jax.numpy as jnp
from jax.typing import DTypeLike

from vasa_jax.audio import wav2vec2, whisper
from vasa_jax.audio.mel import MelEncoder
from vasa_jax.audio.protocol import AudioEncoder
from vasa_jax.config import AudioConfig
from vasa_jax.config.overrides import nearest
from vasa_jax.errors import UserError


def build_audio_encoder(config: AudioConfig, dtype: DTypeLike = jnp.float32) -> AudioEncoder:
    """The Linen module that `config` names, computing in `dtype`.

    Raises UserError for an unknown variant or where `config.dim` is not the variant's width.
    """
    if config.encoder == "mel":
        return MelEncoder(
            config.dim, config.mel_bins, config.mel_width, config.mel_blocks, dtype=dtype
        )
    module, kind = {
        "wav2vec2": (wav2vec2, wav2vec2.Wav2Vec2Encoder),
        "whisper": (whisper, whisper.WhisperEncoder),
    }[config.encoder]
    if config.variant not in module.VARIANTS:
        raise UserError(
            f"audio.variant={config.variant!r} is not a {config.encoder} variant"
            f"{nearest(config.variant, module.VARIANTS)} (known: "
            f"{', '.join(module.VARIANTS)})"
        )
    encoder = kind(module.VARIANTS[config.variant], dtype)
    if encoder.dim != config.dim:
        raise UserError(
            f"audio.dim={config.dim}, but {config.encoder} {config.variant} makes "
            f"{encoder.dim} features; set audio.dim={encoder.dim}"
        )
    return encoder
