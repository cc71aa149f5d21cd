"""The audio encoder's section of a config."""

from dataclasses import dataclass

from vasa_jax.errors import require


@dataclass(frozen=True)
class AudioConfig:
    """Which audio encoder turns 16 kHz samples into 25 Hz features (VASA-1 3.2 uses Wav2Vec2).

    mel is ours: a small encoder that is trained with stage 2.
    """

    encoder: str = "wav2vec2"
    """wav2vec2, whisper or mel."""
    variant: str = "base"
    """base or large for wav2vec2; tiny.en, base, small, … for whisper; empty for mel."""
    dim: int = 768
    mel_bins: int = 80
    mel_width: int = 192
    mel_blocks: int = 6
    chunk_seconds: float = 20.0
    """Length of the sound that is encoded at once, compiled once."""
    overlap_seconds: float = 2.0
    """Context on each inner side of a chunk."""

    def __post_init__(self):
        kinds = ("mel", "wav2vec2", "whisper")
        require(
            self.encoder in kinds,
            f"audio.encoder={self.encoder!r} is not one of {', '.join(kinds)}",
        )
        require(
            0 <= 2 * self.overlap_seconds < self.chunk_seconds,
            f"audio.chunk_seconds={self.chunk_seconds:g} must be more than twice "
            f"audio.overlap_seconds={self.overlap_seconds:g}, because a chunk carries that much "
            "context on each side",
        )
        require(
            self.encoder != "whisper" or self.chunk_seconds <= 30,
            f"audio.chunk_seconds={self.chunk_seconds:g} must be at most 30 for Whisper",
        )
