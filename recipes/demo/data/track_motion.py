"""Clips for stage 2 from tracks: files as `vasa-jax extract-motion` writes them.

    python -m recipes.demo.data.track_motion TRACKS --read-in FILE -o CLIPS

The head pose is the track's, z_dyn what a regressor (read-in) gives for its ARKit coefficients and
eyes. Needs numpy and JAX alone.
"""

import argparse
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from recipes.demo.data.tracks import TrackClip, find_tracks, read_track
from vasa_jax.data_pipeline.arrays import write_arrays
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_regressor import ReadIn, load_read_in
from vasa_jax.signals import exit_with
from vasa_jax.training.motion_dataset.extract import FORMAT
from vasa_jax.typing import Float


def motion_of(track: TrackClip, read_in: ReadIn) -> Float[np.ndarray, "t m"]:
    """[pose, z_dyn] of every frame, float32."""
    dyn = read_in(track.arkit, track.eyes)
    return np.concatenate([track.rotation, track.translation, track.log_scale, dyn], 1)


def clip_arrays(track: TrackClip, read_in: ReadIn, mean: float) -> dict[str, np.ndarray]:
    """The arrays that `vasa_jax.training.motion_clips.read_clip` reads. mean: distance of the train
    split, which becomes 1."""
    return {
        "motion": motion_of(track, read_in).astype(np.float32),
        "waveform": track.audio,
        "gaze": track.main_gaze,
        "distance": np.asarray(track.distance / mean, np.float32),
        "emotion": track.emotion,
    }


def write_motion(
    tracks: Path, output: Path, read_in: ReadIn, tell: Callable[[str], None] = print
) -> tuple[int, int]:
    """Write `output`/SPLIT/NAME.npz for every track; returns how many were made and how many kept.

    Clips of the same track, read-in and mean distance are kept. Raises UserError for a folder
    without tracks of the train split, for broken ones, and for codes that are not finite.
    """
    files = find_tracks(tracks)
    if not files["train"]:
        raise UserError(f"{tracks}: holds no tracks of the train split")
    mean = mean_distance(files["train"])
    made = skipped = 0
    for split, paths in files.items():
        for path in paths:
            place, stat = Path(output) / split / path.name, path.stat()
            source = [stat.st_size, stat.st_mtime_ns, mean]
            record = {"format": FORMAT, "model": identity_of(read_in), "source": source}
            if _recorded(place) == record:
                skipped += 1
                continue
            arrays = clip_arrays(read_track(path), read_in, mean)
            if not np.isfinite(arrays["motion"]).all():
                raise UserError(f"{path}: the read-in gives NaN or infinity; fit it anew")
            record["frames"] = len(arrays["motion"])
            write_arrays(place, "clip", arrays | {"record": np.array(json.dumps(record))}, {})
            made += 1
            if made % 200 == 0:
                tell(f"{made} clips made")
    tell(f"{output}: {made} clips made, {skipped} already there")
    return made, skipped


def mean_distance(files: list[Path]) -> float:
    """The mean of the tracks' distances. Raises UserError for one that cannot be read."""
    total = 0.0
    for path in files:
        try:
            with np.load(path, allow_pickle=False) as stored:
                total += float(stored["distance"])
        except Exception as error:  # zipfile, zlib and numpy each have their own
            raise UserError(f"{path}: is not a readable track ({error}); make it anew") from None
    return total / len(files)


def identity_of(read_in: ReadIn) -> str:
    """A name by the content of a read-in."""
    digest = hashlib.sha256(read_in.kind.encode())
    for name, array in sorted(read_in.arrays.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).data)
    return f"read-in-{digest.hexdigest()[:16]}"


def _recorded(path: Path) -> dict | None:
    """The record of an existing clip without its length; None: missing or broken."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            record = json.loads(str(stored["record"]))
    except Exception:
        return None
    return {key: value for key, value in record.items() if key != "frames"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tracks", type=Path)
    parser.add_argument("--read-in", required=True, type=Path, metavar="FILE")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR")
    given = parser.parse_args(arguments)
    read_in = load_read_in(given.read_in)
    write_motion(given.tracks, given.output, read_in, functools.partial(print, flush=True))
    return 0


if __name__ == "__main__":
    exit_with(main)
