"""Lips of motion tracks: each track is rendered small, and the face tracker reads the pictures.

    python -m recipes.sync.tracks TRACKS -o LIPS [--clips N]
    vasa-jax train sync --data LIPS --workdir RUN

TRACKS is a folder of `python -m recipes.demo.data.tracks`. The same as `vasa-jax synth` and
`vasa-jax train sync` on its dataset, but without pictures that are kept, and 40 a second.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recipes.demo.data.tracks import RECORD, TrackClip, read_track
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb, encode_jpeg
from vasa_jax.data_pipeline.prepare.split import SPLITS
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.head import HeadRenderer
from vasa_jax.data_pipeline.synthetic.plan import Plan, person_seed
from vasa_jax.errors import UserError
from vasa_jax.signals import exit_with
from vasa_jax.sync.clips import write_lip_clip
from vasa_jax.sync.extract import track_frames
from vasa_jax.typing import PortraitArray

SIZE = 192
"""Pixels: a mouth of 40, as in many videos."""
QUALITY = (50, 95)
"""Of JPEG, drawn for each person: trackers see coded pictures."""


def pictures(renderer: HeadRenderer, clip: TrackClip, quality: int) -> Iterator[PortraitArray]:
    """The frames of a track with the loaded person, through JPEG."""
    rows = zip(clip.arkit, clip.rotation, clip.translation, clip.log_scale, clip.gaze, strict=True)
    for arkit, rotation, translation, log_scale, gaze in rows:
        drawn = renderer.render_at(
            arkit.astype(np.float32), rotation, translation, log_scale, gaze.astype(np.float32)
        )
        yield decode_rgb(encode_jpeg(drawn.image, quality), SIZE)


def make(tracks: Path, out: Path, clips: int | None = None) -> int:
    """Write `out`/SPLIT/ID.npz of each track, all splits in turn and each in random order; how many
    were made now. clips: stop after so many of a split. Raises UserError for another folder."""
    try:
        seed = int(json.loads((tracks / RECORD).read_text())["seed"])
    except (OSError, ValueError, LookupError) as error:
        raise UserError(f"{tracks}: holds no motion tracks ({error})") from None
    plan, made = Plan(seed=seed, identities=1, minutes=1.0), 0
    with HeadRenderer(SIZE, 1) as renderer:
        for split in SPLITS:
            files = sorted((tracks / split).glob("*.npz"))
            np.random.default_rng(0).shuffle(files)
            for file in files[:clips]:
                path = out / split / file.name
                if path.exists():
                    continue
                clip = read_track(file)
                person = int(clip.identity.rpartition("-")[2])
                renderer.load(sample_identity(person_seed(plan, person)))
                quality = int(np.random.default_rng((5, person)).integers(*QUALITY))
                points = track_frames(pictures(renderer, clip, quality))
                write_lip_clip(path, points, clip.audio)
                made += 1
                print(f"{split} {file.stem}", flush=True)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tracks", type=Path, metavar="TRACKS")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="LIPS")
    parser.add_argument("--clips", type=int, metavar="N", help="of each split (default: all)")
    arguments = parser.parse_args()
    print(f"{make(arguments.tracks, arguments.output, arguments.clips)} clips")
    return 0


if __name__ == "__main__":
    exit_with(main)
