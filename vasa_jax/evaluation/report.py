"""Report of an evaluation: Markdown, JSON and contact sheets in one folder, written atomically."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vasa_jax.errors import UserError
from vasa_jax.evaluation.contact_sheets import grid, plot_mouth, write_png
from vasa_jax.evaluation.metric_specs import (
    SECTIONS,
    MetricSpec,
    Target,
    check_targets,
    interval,
    number,
)
from vasa_jax.evaluation.run import Evaluation
from vasa_jax.evaluation.statistics import CONFIDENCE, RESAMPLES, Summary
from vasa_jax.media.files import PendingFolder

TOOL = "vasa-jax evaluate"
JSON_NAME, MARKDOWN_NAME = "report.json", "report.md"
FORMAT = 1
LEFT_OUT = (
    "CAPP (VASA-1, section 4.2): its weights are not published, and neither are its pose "
    "parameters, widths, loss and pooling, so no number of ours could be compared.",
    "SyncNet's confidence and distance (SC, SD): no package carries the weights, and their page "
    "states no licence. The audio offset here comes from the mouth's opening against the truth.",
)


def check_output_folder(folder: Path) -> None:
    """Raise UserError unless `folder` is writable, and new, empty or an old report alone."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; give a folder for the report")
    if folder.is_dir():
        others = {file.name for file in folder.iterdir()} - _files_of(folder)
        if others:
            raise UserError(
                f"{folder}: holds other files ({min(others)}), which a report would replace; give "
                "a new folder"
            )
    with PendingFolder(folder, "report"):
        pass


def write_report(folder: Path, found: Evaluation, header: Mapping[str, Any]) -> list[Target]:
    """Write report.md, report.json and the contact sheets; return the table of targets.

    The folder appears complete or not at all, and replaces an older report. header: what was
    evaluated (config, weights, data, settings), JSON-ready. Raises UserError as
    `check_output_folder` does, and where writing fails.
    """
    folder = Path(folder)
    check_output_folder(folder)
    sweeps = {k: (r.curve, r.correlation, r.monotonic) for k, r in found.sweeps.items()}
    table = check_targets(found.summaries, found.offset, sweeps)
    with PendingFolder(folder, "report") as pending:
        beside = pending.temporary
        try:
            sheets = _write_sheets(beside, found)
            content = _content(found, header, table, sheets)
            text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
            (beside / JSON_NAME).write_text(text + "\n", encoding="utf-8")
            words = markdown(found, header, table, sheets)
            (beside / MARKDOWN_NAME).write_text(words, encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{folder}: cannot write the report ({error.strerror or error})"
            ) from None
        pending.commit()
    return table


def markdown(
    found: Evaluation, header: Mapping[str, Any], table: list[Target], sheets: Mapping[str, str]
) -> str:
    """The report as Markdown. sheets: captions by file name."""
    name, weights = header.get("config"), header.get("weights")
    lines = [f"# Evaluation of `{name}` ({weights})", ""]
    lines += [f"- {key}: {value}" for key, value in header.items()]
    lines += [f"- {key}: {value}" for key, value in found.counts.items()]
    lines += ["", "## Aims", "", "| figure | aim | reached | |", "|---|---|---|---|"]
    marks = {True: "yes", False: "no", None: "—"}
    lines += [f"| {a.text} | {a.wanted} | {a.value} | {marks[a.met]} |" for a in table]
    lines += [
        "",
        f"Means; in brackets {CONFIDENCE:.0%} bootstrap intervals over people "
        f"({RESAMPLES} resamples).",
        "",
    ]
    for title, specs in SECTIONS.items():
        # Metrics without a sample, as of phoneme classes that do not occur, get no row.
        measured = [
            (specs[key], s)
            for key, s in ((key, found.summaries.get(key)) for key in specs)
            if s is not None and (s.count or s.missing)
        ]
        rows = [_row(spec, summary) for spec, summary in measured]
        if rows:
            lines += [f"## {title}", "", *_HEAD, *rows, ""]
    lines += _sweep_lines(found) + _fvd_lines(found)
    if sheets:
        lines += ["## Sheets", ""]
        for file, caption in sheets.items():
            lines += [f"{caption}", "", f"![{caption}]({file})", ""]
    lines += ["## Left out", "", *(f"- {text}" for text in LEFT_OUT), ""]
    return "\n".join(lines)


_HEAD = (
    "| figure | unit | perfect | mean | interval | median | measured | missing | people |",
    "|---|---|---|---|---|---|---|---|---|",
)


def _row(spec: MetricSpec, s: Summary) -> str:
    cells = (
        spec.text,
        spec.unit,
        spec.best,
        number(s.mean),
        interval(s).strip(),
        number(s.median),
        str(s.count),
        str(s.missing),
        str(s.groups),
    )
    return f"| {' | '.join(cells)} |"


def _sweep_lines(found: Evaluation) -> list[str]:
    if not found.sweeps:
        return []
    lines = [
        "## Sweeps, mean over the clips",
        "",
        "| condition | unit | command → answer as read | correlation | right steps |",
        "|---|---|---|---|---|",
    ]
    for name, r in found.sweeps.items():
        pairs = zip(r.curve.commands, r.curve.answers, strict=True)
        steps = ", ".join(f"{c:g} → {number(a if a == a else None)}" for c, a in pairs)
        share = "—" if r.monotonic is None else f"{r.monotonic:.0%}"
        lines.append(f"| {name} | {r.curve.unit} | {steps} | {number(r.correlation)} | {share} |")
    return [*lines, ""]


def _fvd_lines(found: Evaluation) -> list[str]:
    if found.fvd is None:
        return []
    values = ", ".join(f"{number(v)} (divisor {k})" for k, v in found.fvd.by_divisor.items())
    return [
        "## Frechet video distance",
        "",
        f"{values}; {found.fvd.ours} runs of ours, {found.fvd.truth} true ones. I3D (Kinetics "
        "400) logits of 25 frames at 224 px. Comparable only with the same data and as many "
        "runs.",
        "",
    ]


def _content(
    found: Evaluation, header: Mapping[str, Any], table: list[Target], sheets: Mapping[str, str]
) -> dict[str, Any]:
    known = {key: spec for specs in SECTIONS.values() for key, spec in specs.items()}
    return {
        "tool": TOOL,
        "format": FORMAT,
        **header,
        "counts": found.counts,
        "seconds": found.seconds,
        "aims": [target._asdict() for target in table],
        "figures": {
            key: {"text": known[key].text, "unit": known[key].unit, **asdict(summary)}
            for key, summary in found.summaries.items()
        },
        "offset": {"frames": found.offset, "correlation by lag": found.lags},
        "sweeps": {
            name: {
                "unit": r.curve.unit,
                "commands": r.curve.commands,
                "answers": [a if a == a else None for a in r.curve.answers],
                "correlation": r.correlation,
                "monotonic": r.monotonic,
            }
            for name, r in found.sweeps.items()
        },
        "fvd": None if found.fvd is None else found.fvd._asdict(),
        "sheets": dict(sheets),
        "left out": LEFT_OUT,
    }


def _write_sheets(folder: Path, found: Evaluation) -> dict[str, str]:
    """Write the sheets for which there are images; return captions by file name."""
    gallery = found.gallery
    sheets: dict[str, str] = {}

    def sheet(name: str, caption: str, rows: list, titles: tuple[str, ...] = ()) -> None:
        if rows:
            write_png(folder / name, grid(rows, titles))
            sheets[name] = caption

    sheet(
        "swaps.png",
        "Transfers against the exact render.",
        gallery.swaps,
        ("source", "driver", "ours", "exact"),
    )
    sheet(
        "reenactment.png",
        "Cross-reenactment of clips.",
        gallery.reenactments,
        ("source", "driver", "ours"),
    )
    longest = max((len(frames) for _, frames in gallery.talks), default=0)
    sheet(
        "talks.png",
        "Audio-driven, a person a row, times from left to right.",
        [list(frames) for _, frames in gallery.talks if len(frames) == longest],
    )
    for number_, curve in enumerate(gallery.mouths, 1):
        name = f"mouth_{number_}.png"
        plot_mouth(folder / name, curve)
        sheets[name] = f"Mouth and sound of {curve.name}."
    return sheets


def _files_of(folder: Path) -> set[str]:
    """Files of an existing report in the folder; empty without one."""
    try:
        content = json.loads((folder / JSON_NAME).read_text(encoding="utf-8"))
        if content["tool"] == TOOL:
            return {JSON_NAME, MARKDOWN_NAME, *content["sheets"]}
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return set()
