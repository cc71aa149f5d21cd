"""The report of an evaluation: Markdown, JSON and sheets in one folder, whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vasa_jax.errors import UserError
from vasa_jax.evaluation.figures import SECTIONS, Aim, Figure, aims, interval, number
from vasa_jax.evaluation.run import Evaluation
from vasa_jax.evaluation.sheets import grid, plot_mouth, write_png
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


def check_place(folder: Path) -> None:
    """Raises UserError unless the report may be written there: a new folder, an empty one or an
    older report and nothing else, in a place that can be written to."""
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


def write_report(folder: Path, found: Evaluation, header: Mapping[str, Any]) -> list[Aim]:
    """report.md, report.json and the sheets; the folder appears whole or not at all.

    header: what was evaluated (config, weights, data, settings), JSON-ready. An older report of
    that folder is replaced. Returns the table of aims. Raises UserError as `check_place` does, and
    where writing fails.
    """
    folder = Path(folder)
    check_place(folder)
    sweeps = {k: (r.curve, r.correlation, r.monotonic) for k, r in found.sweeps.items()}
    table = aims(found.summaries, found.offset, sweeps)
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
    found: Evaluation, header: Mapping[str, Any], table: list[Aim], sheets: Mapping[str, str]
) -> str:
    """The report in words and tables. sheets: file name to caption."""
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
    for title, figures in SECTIONS.items():
        # A class of sounds that nobody spoke is no row.
        seen = [k for k in figures if k in found.summaries and any(found.summaries[k][:2])]
        rows = [_row(figures[key], found.summaries[key]) for key in seen]
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


def _row(figure: Figure, s: Summary) -> str:
    cells = (
        figure.text,
        figure.unit,
        figure.best,
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
    found: Evaluation, header: Mapping[str, Any], table: list[Aim], sheets: Mapping[str, str]
) -> dict[str, Any]:
    known = {key: figure for figures in SECTIONS.values() for key, figure in figures.items()}
    return {
        "tool": TOOL,
        "format": FORMAT,
        **header,
        "counts": found.counts,
        "seconds": found.seconds,
        "aims": [aim._asdict() for aim in table],
        "figures": {
            key: {"text": known[key].text, "unit": known[key].unit, **summary._asdict()}
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
    """File name to caption of every sheet for which there are pictures."""
    gallery, sheets = found.gallery, {}

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
    """The files of the report that lies in a folder; none where there is no report."""
    try:
        content = json.loads((folder / JSON_NAME).read_text(encoding="utf-8"))
        if content["tool"] == TOOL:
            return {JSON_NAME, MARKDOWN_NAME, *content["sheets"]}
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return set()
