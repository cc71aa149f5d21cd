"""Pretraining of the mel encoder on a folder of tracks (`recipes.demo.stages.phoneme_pretrain`).

    python -m recipes.demo.data.track_speech TRACKS --config demo -o FILE

Held-out people speak with voices that are not in training.
"""

import argparse
import functools
from pathlib import Path

from recipes.demo.data.tracks import find_tracks, read_track
from recipes.demo.stages.phoneme_pretrain import Spoken, gather, pretrain
from vasa_jax.config import get_config
from vasa_jax.params import flatten, save_safetensors
from vasa_jax.signals import exit_with


def speech_of(folder: Path, limit: int | None = None) -> tuple[Spoken, Spoken | None]:
    """Speech of the train split, and of val and test together (None if both are empty). limit: the
    most clips of each. Raises UserError for a folder without tracks."""
    files = find_tracks(folder)

    def read(paths):
        clips = map(read_track, paths[:limit])
        return gather([(clip.audio, clip.phonemes) for clip in clips])

    held = files["val"] + files["test"]
    return read(files["train"]), read(held) if held else None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tracks", type=Path)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    config, tell = get_config(given.config, given.set), functools.partial(print, flush=True)
    spoken, held = speech_of(given.tracks)
    found = pretrain(config, spoken, held, steps=given.steps, seed=given.seed, tell=tell)
    if found.held is not None:
        tell("held-out voices:", *(f"{name} {share:.3f}" for name, share in found.held.items()))
    save_safetensors(given.output, flatten({"audio": found.audio}), {"config": config.name})
    return 0


if __name__ == "__main__":
    exit_with(main)
