"""Audio features (VASA-1 section 3.2): 16 kHz samples to 25 Hz by Wav2Vec2, Whisper or log-mel."""

from vasa_jax.audio.build import build_audio_encoder
from vasa_jax.audio.chunks import encode_chunks, encode_clip
from vasa_jax.audio.protocol import AudioEncoder, num_frames
from vasa_jax.audio.weights import load_audio_weights

__all__ = [
    "AudioEncoder",
    "build_audio_encoder",
    "encode_chunks",
    "encode_clip",
    "load_audio_weights",
    "num_frames",
]
