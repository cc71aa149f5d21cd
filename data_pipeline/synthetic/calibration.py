"""Statistics of real videos beside those of synthetic ones, as a page.

    python -m vasa_jax.data_pipeline.synthetic.calibration REAL SYNTHETIC [-o PAGE.md]

REAL, SYNTHETIC: folders of videos, or of a dataset of `vasa-jax prepare` or `vasa-jax synth`. The
page has a row for each statistic: the median over the clips of both, and whether the synthetic one
lies within `TOLERANCE` of the real one. Numbers alone leave the real videos; no pixel of them does.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole
from vasa_jax.perception import face_statistics as measure
from vasa_jax.signals import exit_with
from vasa_jax.typing import FPS, Float, Frames

TOLERANCE = 0.2
"""Relative, of the real median."""
SECONDS = 12.0
"""Of each clip, at most."""
LEAST_SECONDS = 1.0
_SEARCH_EVERY = 12


def clip_statistics(frames: Frames, labellers) -> dict[str, float]:
    """Every statistic of one clip at 25 frames a second; {} where no face stays in view.

    labellers: of `prepare`.
    """
    from vasa_jax.perception.face_tracker import FaceTracker

    tracker = FaceTracker(_SEARCH_EVERY)
    seen = [tracker(frame).landmarks for frame in frames]
    known = {k: marks for k, marks in enumerate(seen) if marks is not None}
    if len(known) < LEAST_SECONDS * FPS:
        return {}
    landmarks = np.stack(list(known.values())).astype(np.float32)
    frames = frames[list(known)]
    labels = labellers.label(frames, landmarks)
    insides = [measure.mouth_inside(f, marks) for f, marks in zip(frames, landmarks, strict=True)]
    return (
        measure.mouth_statistics(measure.lip_gap(landmarks), insides)
        | measure.head_statistics(labels["rotation"])
        | measure.eye_statistics(labels["arkit"], labels["gaze"])
        | measure.brow_statistics(landmarks)
    )


def read_clips(folder: Path, limit: int) -> Iterator[tuple[str, Frames]]:
    """Names and frames of up to `limit` clips of a dataset or a folder of videos.

    Raises UserError for a folder with neither.
    """
    from vasa_jax.data_pipeline.datasets.builders import CLIPS
    from vasa_jax.data_pipeline.datasets.read import find_dataset, open_dataset
    from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
    from vasa_jax.media.folders import find_videos
    from vasa_jax.media.video import read_video

    most = round(SECONDS * FPS)
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; give one of videos, or a dataset")
    if find_dataset(folder, CLIPS) is not None:
        dataset = open_dataset(folder, CLIPS)
        left = limit
        for split in dataset.splits:
            records = dataset.records(split)
            for number in range(min(left, len(records))):
                clip = records[number]
                frames = [decode_rgb(picture, clip.size) for picture in clip.frames[:most]]
                yield clip.clip_id, np.stack(frames)
            left = max(0, left - len(records))
        return
    for file in find_videos(folder).files[:limit]:
        frames = []
        for frame in read_video(file):
            frames.append(frame)
            if len(frames) == most:
                break
        yield file.stem, np.stack(frames)


def compare(
    real: list[dict[str, float]], synthetic: list[dict[str, float]]
) -> list[tuple[str, Float[np.ndarray, "3"], Float[np.ndarray, "3"], bool | None]]:
    """(statistic, quartiles of the real clips, of the synthetic ones, within `TOLERANCE`) of each
    statistic that both have; None where the real median is 0."""
    rows = []
    for name in dict.fromkeys(name for clip in real for name in clip):
        values = [[clip[name] for clip in side if name in clip] for side in (real, synthetic)]
        if not all(values):
            continue
        a, b = (np.percentile(side, [25, 50, 75]) for side in values)
        near = None if a[1] == 0 else bool(abs(b[1] / a[1] - 1) <= TOLERANCE)
        rows.append((name, a, b, near))
    return rows


def page(rows, counts: tuple[int, int]) -> str:
    """The Markdown table."""
    lines = [
        f"{counts[0]} real and {counts[1]} synthetic clips; medians over clips, quartiles in "
        "brackets. Lengths are shares of the face's height, angles degrees, speeds a second or, "
        "for heads, a frame.",
        "",
        f"| statistic | real | synthetic | ratio | within {TOLERANCE:.0%} |",
        "|---|---|---|---|---|",
    ]
    for name, a, b, near in rows:
        real, drawn = (f"{x[1]:.3g} [{x[0]:.3g}, {x[2]:.3g}]" for x in (a, b))
        ratio = f"{b[1] / a[1]:.2f}" if a[1] else ""
        lines.append(f"| {name} | {real} | {drawn} | {ratio} | {_WORD[near]} |")
    return "\n".join(lines) + "\n"


_WORD = {True: "yes", False: "no", None: ""}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="statistics of real and synthetic talking faces")
    parser.add_argument("real", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="Markdown file (default: printed)")
    parser.add_argument("--clips", type=int, default=40, help="of each side, at most")
    arguments = parser.parse_args(words)
    from vasa_jax.data_pipeline.prepare.labels import Labellers

    labellers, sides = Labellers(), []
    for folder in (arguments.real, arguments.synthetic):
        found = []
        for name, frames in read_clips(folder, arguments.clips):
            statistics = clip_statistics(frames, labellers)
            if statistics:
                found.append(statistics)
            else:
                print(f"{name}: no face stays in view; left out")
        if not found:
            raise UserError(f"{folder}: no clip shows a face for {LEAST_SECONDS:g} s")
        sides.append(found)
    text = page(compare(*sides), (len(sides[0]), len(sides[1])))
    if arguments.output is None:
        print(text, end="")
    else:
        write_whole(arguments.output, "page of statistics", text)
    return 0


if __name__ == "__main__":
    exit_with(main)
