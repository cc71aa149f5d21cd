"""How CAPP's score answers to what VASA-1's does (section 4.2): sound that is shifted against the
motion, motion that is made smaller or larger.

    python -m vasa_jax.capp.behaviour DATA [--capp DIR] [--split test] [-o behaviour.json]
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.capp.clips import PoseClip, find_pose_clips
from vasa_jax.capp.score import STRIDE, CappScorer, load
from vasa_jax.signals import exit_with

SHIFTS = (-10, -4, -3, -2, -1, 0, 1, 2, 3, 4, 10)
SCALES = (0.2, 0.5, 1.0, 1.5, 3.0)
PUBLISHED_SHIFTS = {0: 0.608, 1: 0.462, 2: 0.206, 3: 0.069, 4: 0.082}
PUBLISHED_SCALES = {0.2: 0.368, 0.5: 0.584, 1.0: 0.608, 1.5: 0.587, 3.0: 0.505}
"""Of the paper's own network, on VoxCeleb2 (both signs of a shift together)."""


class Behaviour(NamedTuple):
    """Mean scores over clips. shifts: by frames that the sound is taken later; scales: by the
    factor of the pose about each window's mean; others: with the sound of another clip."""

    clips: int
    windows: int
    shifts: dict[int, float]
    scales: dict[float, float]
    others: float


def behaviour(scorer: CappScorer, clips: list[PoseClip]) -> Behaviour:
    """The table of a list of clips. The same windows are measured at every shift: those whose sound
    stays within the clip at all of them."""
    reach, window = max(map(abs, SHIFTS)), scorer.config.capp.window
    shifts: dict[int, list[float]] = {shift: [] for shift in SHIFTS}
    scales: dict[float, list[float]] = {scale: [] for scale in SCALES}
    others: list[float] = []
    count = 0
    for number, clip in enumerate(clips):
        last = len(clip.rotation) - window - reach
        starts = np.arange(reach, last + 1, STRIDE)
        if not len(starts):
            continue
        rotation = np.where(clip.known[:, None], clip.rotation, np.nan).astype(np.float32)
        found = {s: scorer.windows(rotation, clip.waveform, starts, s) for s in SHIFTS}
        measured = np.isfinite(np.stack(list(found.values()))).all(0)
        if not measured.any():
            continue
        count += int(measured.sum())
        for shift, values in found.items():
            shifts[shift].append(float(values[measured].mean()))
        for scale in SCALES:
            # The encoder loses the mean of a window, so the clip may be scaled about any pose.
            values = scorer.windows(rotation * np.float32(scale), clip.waveform, starts)
            scales[scale].append(float(values[measured].mean()))
        other = clips[(number + len(clips) // 2) % len(clips)]
        values = scorer.windows(rotation, other.waveform, starts)
        if other is not clip and np.isfinite(values).any():
            others.append(float(np.nanmean(values)))

    def mean(values: list[float]) -> float:
        return float(np.mean(values)) if values else float("nan")

    return Behaviour(
        len(shifts[0]),
        count,
        {shift: mean(values) for shift, values in shifts.items()},
        {scale: mean(values) for scale, values in scales.items()},
        mean(others),
    )


def table(found: Behaviour) -> str:
    """As Markdown, the paper's figures beside ours."""
    lines = [
        f"{found.clips} clips, {found.windows} windows; with the sound of another clip "
        f"{found.others:.3f}",
        "",
        "| sound later by, frames | score | VASA-1's network, VoxCeleb2 |",
        "|---|---|---|",
    ]
    for shift, score in found.shifts.items():
        known = PUBLISHED_SHIFTS.get(abs(shift))
        lines.append(f"| {shift:+d} | {score:.3f} | {'' if known is None else known} |")
    lines += ["", "| amplitude | score | VASA-1's network, VoxCeleb2 |", "|---|---|---|"]
    for scale, score in found.scales.items():
        lines.append(f"| x {scale:g} | {score:.3f} | {PUBLISHED_SCALES[scale]} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="as of `vasa-jax train capp`")
    parser.add_argument("--capp", type=Path, metavar="DIR", help="default: the one that ships")
    parser.add_argument("--split", default="test")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the figures as JSON")
    given = parser.parse_args(arguments)
    clips = find_pose_clips(given.data, given.split)
    found = behaviour(load(given.capp), [clips.open(i) for i in range(len(clips.names))])
    print(table(found))
    if given.output is not None:
        given.output.write_text(json.dumps(found._asdict(), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    exit_with(main)
