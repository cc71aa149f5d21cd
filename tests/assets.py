"""Small files that tests make for themselves, and the portrait that the repository carries."""

import wave
from pathlib import Path

import numpy as np

PORTRAIT = Path(__file__).parent.parent / "examples" / "portrait.jpg"
SPEECH = Path(__file__).parent.parent / "examples" / "speech.flac"


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    """A 16-bit mono WAV file from samples in [-1, 1]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def write_float_wav(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    """A 32-bit float mono WAV file, which may hold NaN."""
    data = np.asarray(samples, "<f4").tobytes()
    header = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt "
    header += (16).to_bytes(4, "little") + (3).to_bytes(2, "little") + (1).to_bytes(2, "little")
    header += rate.to_bytes(4, "little") + (rate * 4).to_bytes(4, "little")
    header += (4).to_bytes(2, "little") + (32).to_bytes(2, "little")
    path.write_bytes(header + b"data" + len(data).to_bytes(4, "little") + data)
    return path


def hum(seconds: float, rate: int = 16_000) -> np.ndarray:
    """Something to say: a tone whose loudness moves at the pace of syllables."""
    t = np.arange(round(seconds * rate)) / rate
    return 0.4 * np.sin(2 * np.pi * 140 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
