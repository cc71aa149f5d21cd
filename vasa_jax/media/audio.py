"""Audio in: any audio track to mono 16 kHz float32 (PyAV)."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.media.soundtrack import MIN_SECONDS, Soundtrack
from vasa_jax.media.stored_sound import StoredSound
from vasa_jax.typing import SAMPLE_RATE, Float

__all__ = ["MIN_SECONDS", "AudioClip", "open_audio"]


class AudioClip(NamedTuple):
    """One audio track, ready for the audio encoders."""

    # Float32 mono at 16 kHz in [-1, 1], n = round(seconds * 16000); sample 0 is time 0 of the
    # presentation. An array, or a `StoredSound` that is read in slices.
    waveform: Float[np.ndarray, " n"] | StoredSound
    seconds: float  # true length of the track in the source
    path: Path
    rate: int  # sampling rate of the source, Hz
    channels: int  # of the source


def open_audio(path: str | os.PathLike, *, stored: bool = False) -> AudioClip:
    """Decode the audio track of an audio or video file to mono 16 kHz.

    Channels are mixed by energy (`EnergyMix`): opposite signs do not cancel, silent channels do not
    count. The level is the file's own; `audio/level.py` sets that of an encoder's input.
    The whole file is streamed: the cost is 4 bytes per output sample (38 MB for ten minutes), or,
    with `stored`, as much of a temporary file and no memory.
    A file cut in the middle gives what comes before the cut, if that is at least `MIN_SECONDS`
    long; damaged packets are stepped over and leave silence where the file has timestamps.
    Encoder delay is undone where the file states it (MP4, MP3 with a Xing header, Ogg, Matroska);
    raw AAC (ADTS) cannot state it and comes about 23 ms late.
    Samples beyond full scale are clipped. Silence is valid.

    Raises:
        UserError: missing, a directory, empty, not media, no audio track, nothing or less than
            `MIN_SECONDS` decodes, NaN or infinite samples, or an unusable sampling rate.
    """
    track = Soundtrack(path)
    sound = StoredSound()
    for block in track.blocks(SAMPLE_RATE, 1, by_energy=True):
        sound.append(np.clip(block[0], -1.0, 1.0))
    # The resampler's last block may be a sample off; make the length the one of the track.
    sound.resize(round(track.seconds * SAMPLE_RATE))
    return AudioClip(
        waveform=sound if stored else sound[:],
        seconds=track.seconds,
        path=Path(path),
        rate=track.rate,
        channels=track.source_channels,
    )
