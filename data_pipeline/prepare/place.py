"""Checks of the output folder: files that `vasa-jax prepare` did not write are not replaced."""

import json
from pathlib import Path

from vasa_jax.data_pipeline.prepare.plots import FILES
from vasa_jax.media.places import check_ours

REPORT, SUMMARY, CARD, PLOTS = "report.jsonl", "report.json", "README.md", "plots"
SIGNATURE = "made by `vasa-jax prepare`"
"""Stands in every data card."""


def check_place(out: Path) -> None:
    """Raise UserError where a run would replace reports, a data card or plots of somebody else."""
    check_ours(out / REPORT, "report of `vasa-jax prepare`", _is_report)
    check_ours(out / SUMMARY, "report of `vasa-jax prepare`", _is_summary)
    check_ours(out / CARD, "data card of `vasa-jax prepare`", _is_card)
    for name in FILES:
        check_ours(
            out / PLOTS / name, "plot of `vasa-jax prepare`", lambda _: _is_summary(out / SUMMARY)
        )


def _is_report(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return {"name", "identity", "outcome"} <= set(json.loads(next(file)))


def _is_summary(path: Path) -> bool:
    return {"videos", "clips", "labellers"} <= set(json.loads(path.read_text(encoding="utf-8")))


def _is_card(path: Path) -> bool:
    return SIGNATURE in path.read_text(encoding="utf-8")
