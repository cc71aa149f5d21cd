"""Reports of prepared videos: kept clips, discards with reasons, totals of each step."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vasa_jax.media.files import write_whole
from vasa_jax.typing import FPS

STEPS = ("read", "shots", "track", "crop", "sound", "quality", "sync", "labels", "masks", "write")
"""The steps of a clip in their order; each may discard."""


class KeptClip(NamedTuple):
    """One finished clip: its file below clips/, frames start..stop of the source, and its facts
    (numbers that the steps measured)."""

    file: str
    start: int
    stop: int
    facts: dict[str, Any]


class Discard(NamedTuple):
    """Frames start..stop of the source that became no clip; stop 0 where no frame was read."""

    step: str
    reason: str
    start: int = 0
    stop: int = 0
    detail: str = ""


class SourceReport(NamedTuple):
    """Report of one video."""

    name: str
    identity: str
    outcome: str  # "made", "skipped" (an earlier run made it), "failed"
    frames: int = 0  # read at 25 fps
    clips: tuple[KeptClip, ...] = ()
    discards: tuple[Discard, ...] = ()
    notes: tuple[str, ...] = ()  # on what was corrected
    # By step, for the screen.
    lines: dict[str, str] = {}  # noqa: RUF012 - never written to
    # By step; "all" is their sum.
    seconds: dict[str, float] = {}  # noqa: RUF012
    message: str = ""  # why it failed

    def one_line(self) -> str:
        """For the screen: what was made of the video, or why nothing was."""
        if self.outcome == "failed":
            return f"{self.name}: {self.message}"
        minutes = sum(c.stop - c.start for c in self.clips) / FPS
        parts = [f"{len(self.clips)} clips, {minutes:.1f} of {self.frames / FPS:.1f} s"]
        lost: Counter[str] = Counter()
        for discard in self.discards:
            lost[discard.reason] += discard.stop - discard.start
        parts += [f"{reason} {count / FPS:.1f} s" for reason, count in lost.most_common()]
        return f"{self.name}: " + "; ".join([*parts, *self.notes])


def to_json(report: SourceReport) -> dict[str, Any]:
    content = report._asdict()
    content["clips"] = [c._asdict() for c in report.clips]
    content["discards"] = [d._asdict() for d in report.discards]
    return content


def from_json(content: dict[str, Any]) -> SourceReport:
    """Raises TypeError, ValueError or LookupError for content of another form."""
    content = dict(content)
    content["clips"] = tuple(KeptClip(**c) for c in content["clips"])
    content["discards"] = tuple(Discard(**d) for d in content["discards"])
    content["notes"] = tuple(content["notes"])
    return SourceReport(**content)


def write_json(path: Path, content: Any) -> None:
    """One JSON value, whole or not at all; a list is written as JSON lines for a .jsonl name."""
    lines = path.suffix == ".jsonl"
    text = (
        "".join(json.dumps(row) + "\n" for row in content)
        if lines
        else (json.dumps(content, indent=1) + "\n")
    )
    write_whole(path, "report", text)


class Result(NamedTuple):
    """The result of `prepare_folder`."""

    reports: list[SourceReport]  # of every video, in order
    splits: dict[str, str]  # of every person who has a clip
    dataset: Path | None  # the TFDS folder, None where no clip was left
    left_out: Mapping[str, int] = {}  # by ending, the number of files that were taken for no videos

    def clips(self, split: str | None = None) -> int:
        return sum(
            len(r.clips)
            for r in self.reports
            if split is None or self.splits.get(r.identity) == split
        )


class StepTotal(NamedTuple):
    """One row of the table of steps."""

    step: str
    discarded: int  # frames given up by the step
    reasons: dict[str, int]  # stretches per reason
    seconds: float  # of all videos that this run worked on


def step_totals(reports: Sequence[SourceReport]) -> list[StepTotal]:
    """What every step did over all videos; failed videos count as discards of "read"."""
    frames: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {step: Counter() for step in STEPS}
    for report in reports:
        for discard in report.discards:
            frames[discard.step] += discard.stop - discard.start
            reasons[discard.step][discard.reason] += 1
    seconds = {s: sum(r.seconds.get(s, 0.0) for r in reports) for s in STEPS}
    return [
        StepTotal(s, frames[s], dict(reasons[s].most_common()), round(seconds[s], 2)) for s in STEPS
    ]
