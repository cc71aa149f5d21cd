"""Report of an evaluation: Markdown, JSON and contact sheets in one folder, written atomically."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vasa_jax.errors import UserError
from vasa_jax.evaluation.contact_sheets import grid, plot_mouth, write_png
from vasa_jax.evaluation.metric_specs import SECTIONS
from vasa_jax.evaluation.report_text import LEFT_OUT, markdown
from vasa_jax.evaluation.run import Evaluation
from vasa_jax.evaluation.targets import Target, check_targets
from vasa_jax.media.files import PendingFolder

TOOL = "vasa-jax evaluate"
JSON_NAME, MARKDOWN_NAME = "report.json", "report.md"
FORMAT = 1


def check_output_folder(folder: Path) -> None:
    """Raise UserError unless `folder` is writable, and new, empty or an old report alone."""
    check_report_folder(folder, TOOL)


def check_report_folder(folder: Path, tool: str) -> None:
    """`check_output_folder` for the report of any tool."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; give a folder for the report")
    if folder.is_dir():
        others = {file.name for file in folder.iterdir()} - _files_of(folder, tool)
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
    with pending_report(folder) as beside:
        sheets = _write_sheets(beside, found)
        content = _content(found, header, table, sheets)
        write_pages(beside, content, markdown(found, header, table, sheets))
    return table


@contextmanager
def pending_report(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place at the end of the block. Raises UserError where
    writing fails; nothing is left then."""
    with PendingFolder(folder, "report") as pending:
        try:
            yield pending.temporary
        except OSError as error:
            raise UserError(
                f"{folder}: cannot write the report ({error.strerror or error})"
            ) from None
        pending.commit()


def write_pages(folder: Path, content: Mapping[str, Any], words: str) -> None:
    """Write report.json and report.md."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / JSON_NAME).write_text(text + "\n", encoding="utf-8")
    (folder / MARKDOWN_NAME).write_text(words, encoding="utf-8")


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
        "factors.png",
        "Head pose and dynamics of the driver, each alone, beside the exact render.",
        gallery.factors,
        ("source", "driver", "pose", "exact pose", "dynamics", "exact dyn."),
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
    sheet(
        "one_motion.png",
        "One motion, generated from one sound, on the faces of several people.",
        [list(frames) for _, frames in gallery.shared],
    )
    for name_, result in found.sweeps.items():
        sheet(
            f"sweep_{name_}.png",
            f"{name_} as commanded, {result.curve.unit}; a clip a row, its middle frame.",
            gallery.sweeps.get(name_, []),
            tuple(f"{value:g}" for value in result.curve.commands),
        )
    for number_, curve in enumerate(gallery.mouths, 1):
        name = f"mouth_{number_}.png"
        plot_mouth(folder / name, curve)
        sheets[name] = f"Mouth and sound of {curve.name}."
    return sheets


def _files_of(folder: Path, tool: str) -> set[str]:
    """Files of an existing report of a tool in the folder; empty without one."""
    try:
        content = json.loads((folder / JSON_NAME).read_text(encoding="utf-8"))
        if content["tool"] == tool:
            return {JSON_NAME, MARKDOWN_NAME, *content["sheets"]}
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return set()
