"""Report of scores: Markdown, JSON and contact sheets in one folder, whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vasa_jax.evaluation.contact_sheets import write_png
from vasa_jax.evaluation.report import check_report_folder, pending_report, write_pages
from vasa_jax.score.published import SETS
from vasa_jax.score.report_text import markdown
from vasa_jax.score.run import Result
from vasa_jax.score.sheets import group_sheets, plot_mouths
from vasa_jax.score.table import as_json, systems_of
from vasa_jax.score.types import Metric

TOOL = "vasa-jax score"
FORMAT = 1
SCHEMA = Path(__file__).with_name("report.schema.json")
"""JSON Schema (2020-12) of report.json."""


def check_output_folder(folder: Path) -> None:
    """Raise UserError unless `folder` is writable, and new, empty or an old report alone."""
    check_report_folder(folder, TOOL)


def write_report(
    folder: Path,
    results: Sequence[Result],
    metrics: Sequence[Metric],
    header: Mapping[str, Any],
    sheets: int = 8,
) -> dict[str, Any]:
    """Write report.md, report.json and contact sheets; return the content of report.json.

    The folder appears complete or not at all, and replaces an older report. header: how it was
    measured, JSON-ready. sheets: clips that get a sheet. Raises UserError as `check_output_folder`
    does, and where writing fails.
    """
    folder = Path(folder)
    check_output_folder(folder)
    systems = systems_of(results, metrics)
    with pending_report(folder) as beside:
        captions: dict[str, str] = {}
        for number, (name, sheet, curves) in enumerate(group_sheets(results, sheets), 1):
            write_png(beside / f"sheet_{number}.png", sheet)
            captions[f"sheet_{number}.png"] = f"{name}: frames, and mouths enlarged."
            if plot_mouths(beside / f"mouth_{number}.png", name, curves):
                captions[f"mouth_{number}.png"] = f"{name}: mouth opening."
        content = {
            "tool": TOOL,
            "format": FORMAT,
            "settings": dict(header),
            "metrics": {k: spec._asdict() for m in metrics for k, spec in m.specs.items()},
            "systems": [as_json(row) for row in systems],
            "videos": [_video(result) for result in results],
            "published": {title: [row._asdict() for row in rows] for title, rows in SETS.items()},
            "sheets": captions,
        }
        write_pages(beside, content, markdown(systems, metrics, header, captions))
    return content


def _video(result: Result) -> dict[str, Any]:
    video, entry = result.video, result.entry
    return {
        "system": video.system,
        "name": video.name,
        "person": video.person,
        "reference": video.reference,
        "error": result.error or None,
        "frames": None if entry is None else entry.frames,
        "figures": {} if entry is None else entry.values,
        "not measured": {} if entry is None else entry.reasons,
    }
