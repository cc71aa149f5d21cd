"""The data card: contents of a prepared dataset and what was left out, in Markdown with plots."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from vasa_jax.data_pipeline.prepare.clip_job import CLIPS
from vasa_jax.data_pipeline.prepare.labels import Labellers
from vasa_jax.data_pipeline.prepare.options import PrepareOptions
from vasa_jax.data_pipeline.prepare.place import CARD, PLOTS, SIGNATURE
from vasa_jax.data_pipeline.prepare.plots import Labels, draw_plots
from vasa_jax.data_pipeline.prepare.report import Result, step_totals
from vasa_jax.data_pipeline.prepare.split import SPLITS
from vasa_jax.media.files import write_whole
from vasa_jax.motion.seen import LEAST
from vasa_jax.typing import EMOTIONS, FPS

MOST_CLIPS = 20_000
"""Clips whose labels the histograms are drawn from, evenly spread, where there are more."""


def read_labels(files: list[Path]) -> Labels:
    """The labels out of files of clips; their pictures are not read. One clip or more."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in Labels._fields}
    for file in files:
        with np.load(file, allow_pickle=False) as stored:
            for name in Labels._fields[:2]:
                rows[name].append(stored[name])
            for name in Labels._fields[2:-1]:
                rows[name].append(stored[name][None])
            rows["seconds"].append(np.array([len(stored["frames_sizes"]) / FPS], np.float32))
    return Labels(*(np.concatenate(rows[name]) for name in Labels._fields))


def write_card(out: Path, result: Result, options: PrepareOptions, labellers: Labellers) -> Path:
    """out/README.md with plots below out/plots; returns its path.

    result: of `vasa_jax.data_pipeline.prepare.run.prepare_folder`.
    """
    files = [out / CLIPS / c.file for r in result.reports for c in r.clips]
    step = max(-(-len(files) // MOST_CLIPS), 1)
    try:
        labels = read_labels(files[::step]) if files else None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        labels = None  # a clip was taken away while we looked; the counts are still true
    plots = draw_plots(out / PLOTS, labels, result.reports)
    text = "\n\n".join(
        [
            f"# {result.dataset.parent.name if result.dataset else 'No clip was left'}",
            f"Talking-head clips {SIGNATURE}. Labels come from networks, not from "
            "people; the videos keep their own rights.",
            _counts(result),
            _steps(result),
            "\n".join(f"![{name}]({PLOTS}/{path.name})" for name, path in plots.items()),
            _numbers(labels) if labels else "",
            _failures(result),
            _choices(options, labellers),
        ]
    )
    write_whole(out / CARD, "data card", text.rstrip() + "\n")
    return out / CARD


def _table(head: list[str], rows: list[list]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(_cell(v) for v in row) + " |" for row in rows])


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _counts(result: Result) -> str:
    rows = []
    for split in (*SPLITS, None):
        clips = [
            c
            for r in result.reports
            for c in r.clips
            if split is None or result.splits[r.identity] == split
        ]
        people = sum(split is None or s == split for s in result.splits.values())
        minutes = sum(c.stop - c.start for c in clips) / FPS / 60
        rows.append([split or "all", people, len(clips), f"{minutes:.2f}"])
    found = Counter(
        "broken" if r.outcome == "failed" else "with clips" if r.clips else "without a clip"
        for r in result.reports
    )
    videos = ", ".join(f"{count} {kind}" for kind, count in found.most_common())
    table = _table(["split", "people", "clips", "minutes"], rows)
    others = ", ".join(f"{name} ({count})" for name, count in result.left_out.items())
    left = f" Other files in the folder: {others}." if others else ""
    return f"## Counts\n\n{table}\n\nVideos: {videos}.{left}"


def _steps(result: Result) -> str:
    rows = [
        [
            row.step,
            f"{row.discarded / FPS:.1f}",
            ", ".join(f"{reason} ({count})" for reason, count in row.reasons.items()),
            f"{row.seconds:.1f}",
        ]
        for row in step_totals(result.reports)
    ]
    head = ["step", "seconds of video discarded", "reasons (stretches)", "seconds of work"]
    return f"## Steps\n\n{_table(head, rows)}"


def _numbers(labels: Labels) -> str:
    degrees = {
        "pose pitch, deg": np.degrees(labels.rotation[:, 0]),
        "pose yaw, deg": np.degrees(labels.rotation[:, 1]),
        "pose roll, deg": np.degrees(labels.rotation[:, 2]),
        "gaze yaw, deg": np.degrees(labels.gaze[:, 0]),
        "gaze pitch, deg": np.degrees(labels.gaze[:, 1]),
        "head distance": labels.distance,
        "quality": labels.quality,
        "seconds": labels.seconds,
    }
    rows = [
        [name, *(f"{v:.2f}" for v in np.percentile(values, [5, 25, 50, 75, 95]))]
        for name, values in degrees.items()
    ]
    first = Counter(EMOTIONS[k] for k in labels.emotion.argmax(1))
    emotions = ", ".join(f"{name} {count}" for name, count in first.most_common())
    table = _table(["", "5 %", "25 %", "50 %", "75 %", "95 %"], rows)
    most = labels.emotion.max(0)
    lacking = [name for name, share in zip(EMOTIONS, most, strict=True) if share < LEAST]
    held = f" No clip holds a share of {LEAST:g} of {', '.join(lacking)}." if lacking else ""
    return f"## Labels\n\n{table}\n\nStrongest emotion of the clips: {emotions}.{held}"


def _failures(result: Result, most: int = 100) -> str:
    rows = [[r.name, r.message] for r in result.reports if not r.clips]
    notes = Counter(note for r in result.reports for note in r.notes)
    parts = []
    if rows:
        parts.append("## Videos without a clip\n\n" + _table(["video", "reason"], rows[:most]))
        if len(rows) > most:
            parts.append(f"{len(rows) - most} more are in report.jsonl.")
    if notes:
        table = _table(["mended on the way", "videos"], [list(row) for row in notes.most_common()])
        parts.append(f"## Notes\n\n{table}")
    return "\n\n".join(parts)


def _choices(options: PrepareOptions, labellers: Labellers) -> str:
    rows = [[name, value] for name, value in options._asdict().items()]
    rows += [[f"labeller {kind}", name] for kind, name in labellers.names.items()]
    return f"## Choices\n\n{_table(['option', 'value'], rows)}"
