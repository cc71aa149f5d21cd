"""The report of scores as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from vasa_jax.evaluation.statistics import CONFIDENCE, RESAMPLES, Summary
from vasa_jax.evaluation.targets import number
from vasa_jax.score.pairing import REAL
from vasa_jax.score.published import COLUMNS, COMPARABLE, SETS
from vasa_jax.score.table import THEVAL, System
from vasa_jax.score.types import Metric, Spec

PAPER = (
    "syncnet_confidence",
    "syncnet_distance",
    "av_sync_confidence",
    "av_sync_distance",
    "capp",
    "capp_synthetic",
    "delta_pose_geodesic",
)
"""The figures of the paper's table, and ours that stand beside them."""
ALWAYS = ("syncnet_confidence", "syncnet_distance")
REAL_ROW = "real videos (what the instruments say of the truth)"


def markdown(
    systems: Sequence[System],
    metrics: Sequence[Metric],
    header: Mapping[str, Any],
    sheets: Mapping[str, str],
) -> str:
    """The report. header: how it was measured; sheets: captions by file name."""
    specs = {key: spec for metric in metrics for key, spec in metric.specs.items()}
    lines = ["# Scores", "", *(f"- {key}: {value}" for key, value in header.items()), ""]
    lines += [
        f"Means over videos; in brackets {CONFIDENCE:.0%} bootstrap intervals over people "
        f"({RESAMPLES} resamples), where there are two or more. `(n of m)`: only n of m videos "
        "could be measured.",
        "",
        "| system | videos | people | cannot be read | frames with a face |",
        "|---|---|---|---|---|",
    ]
    for row in systems:
        seen = "—" if row.face_found is None else f"{row.face_found:.1%}"
        cells = (_name(row), str(row.videos), str(row.people), str(row.unreadable), seen)
        lines.append(_line(cells))
    lines += ["", "## The paper's table", "", *_paper(systems, specs), ""]
    for metric in metrics:
        if any(row.figures[k].count for row in systems for k in metric.specs if k in row.figures):
            lines += [f"## {_title(metric.name)}", "", *_section(systems, metric.specs), ""]
    lines += [*_theval(systems, specs), *_missing(systems, specs)]
    lines += ["## Published rows of VASA-1", "", COMPARABLE, "", *_published()]
    if sheets:
        lines += ["## Sheets", ""]
        for file, caption in sheets.items():
            lines += [caption, "", f"![{caption}]({file})", ""]
    return "\n".join(lines)


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


def _name(row: System) -> str:
    return REAL_ROW if row.name == REAL else row.name


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return ""
    total = summary.count + summary.missing
    if not summary.count:
        return "not measured"
    some = f" ({summary.count} of {total})" if summary.missing else ""
    if summary.low is None or summary.high is None:
        return f"{number(summary.mean)}{some}"
    return f"{number(summary.mean)} [{number(summary.low)}, {number(summary.high)}]{some}"


def _head(titles: Sequence[str]) -> list[str]:
    return [_line(["system", *titles]), "|---" * (len(titles) + 1) + "|"]


def _words(spec: Spec) -> str:
    unit = f", {spec.unit}" if spec.unit else ""
    return f"{spec.text}{unit} ({spec.best})"


def _paper(systems: Sequence[System], specs: Mapping[str, Spec]) -> list[str]:
    """SC and SD always; other networks' figures where they were measured."""
    shown = [
        key
        for key in PAPER
        if key in ALWAYS or any(row.figures[key].count for row in systems if key in row.figures)
    ]
    lines = _head([*(_words(specs[key]) for key in shown), "FVD of 25 frames (low)"])
    for row in systems:
        cells = [_cell(row.figures.get(key)) for key in shown]
        lines.append(_line([_name(row), *cells, _frechet(row)]))
    return lines


def _frechet(row: System) -> str:
    if row.frechet is None:
        return "not measured"
    values = ", ".join(f"{number(v)} (divisor {k})" for k, v in row.frechet.by_divisor.items())
    return f"{values}; {row.frechet.ours} runs against {row.frechet.real}"


def _section(systems: Sequence[System], specs: Mapping[str, Spec]) -> list[str]:
    lines = _head([_words(spec) for spec in specs.values()])
    for row in systems:
        if any(key in row.figures for key in specs):
            cells = [_cell(row.figures.get(key)) for key in specs]
            lines.append(_line([_name(row), *cells]))
    sources = dict.fromkeys(spec.source for spec in specs.values())
    return [*lines, "", *(f"- {source}" for source in sources)]


def _theval(systems: Sequence[System], specs: Mapping[str, Spec]) -> list[str]:
    rows = [row for row in systems if row.theval and row.name != REAL]
    if not rows:
        return []
    lines = [
        "## THEval's scores against the real videos",
        "",
        "1 - |x - real| / |real|, 1 is best. The mean is of these four, not THEval's final score, "
        "which needs four networks that ship nowhere.",
        "",
        *_head([*(specs[key].text for key in THEVAL), "mean of those"]),
    ]
    for row in rows:
        values = [row.theval.get(key) for key in THEVAL]
        known = [v for v in values if v is not None]
        cells = [number(v) for v in (*values, sum(known) / len(known))]
        lines.append(_line([_name(row), *cells]))
    return [*lines, ""]


def _missing(systems: Sequence[System], specs: Mapping[str, Spec]) -> list[str]:
    said: dict[tuple[str, str, int], list[str]] = {}
    for row in systems:
        for key, found in row.reasons.items():
            for reason, count in found.items():
                said.setdefault((_name(row), reason, count), []).append(specs[key].text)
    if not said:
        return []
    lines = ["## Not measured", "", "| system | figures | videos | why |", "|---|---|---|---|"]
    for (name, reason, count), texts in said.items():
        lines.append(_line([name, ", ".join(texts), str(count), reason.replace("|", "/")]))
    return [*lines, ""]


def _published() -> list[str]:
    lines = []
    for title, rows in SETS.items():
        lines += [f"{title}:", "", *_head(COLUMNS)]
        for system, *figures in rows:
            lines.append(_line([str(system), *("—" if f is None else f"{f:.3f}" for f in figures)]))
        lines.append("")
    return lines
