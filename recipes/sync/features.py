"""Features of held-out clips for the test of the shipped sync network.

    python -m recipes.sync.features LIPS -o tests/sync/held_out_features.npz

LIPS is a folder of `recipes.sync.tracks`; its split `test` has people and voices of its own. Lips
and spectrograms of the first seconds of the first clips are kept in a byte a number.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from vasa_jax.config.sync import SyncNetworkConfig
from vasa_jax.signals import exit_with
from vasa_jax.sync.clips import find_lip_clips, read_lip_clip
from vasa_jax.sync.lips import fill_gaps
from vasa_jax.sync.sound import log_mel_frames
from vasa_jax.typing import SAMPLES_PER_FRAME

CLIPS, FRAMES, START = 4, 75, 25
SCALES = {"lips": 0.01, "sounds": 0.02}
"""Centimetres and units of the spectrogram in a step."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lips", type=Path, metavar="LIPS")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    found: dict[str, list[np.ndarray]] = {"lips": [], "sounds": []}
    part = slice(START, START + FRAMES)
    bins = SyncNetworkConfig().mel_bins
    for file in find_lip_clips(arguments.lips, "test")[:CLIPS]:
        clip = read_lip_clip(file)
        lips = fill_gaps(clip.lips)[part].reshape(FRAMES, -1)
        wave = clip.wave[part.start * SAMPLES_PER_FRAME : part.stop * SAMPLES_PER_FRAME]
        found["lips"].append(lips - lips.mean(0))  # means are taken away anyway
        sounds = log_mel_frames(wave, bins)
        found["sounds"].append(sounds - sounds.mean(0))
    arrays: dict[str, Any] = {}
    for name, rows in found.items():
        steps = np.round(np.stack(rows) / SCALES[name])
        arrays[name] = steps.clip(-127, 127).astype(np.int8)
        arrays[f"{name}_scale"] = np.float32(SCALES[name])
    np.savez_compressed(arguments.output, **arrays)
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    exit_with(main)
