"""Many portraits with many clips through one set of compiled programs."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vasa_jax.errors import UserError
from vasa_jax.inference.generate import Job, load_inputs, make_videos, metadata
from vasa_jax.inference.manifest import (
    Row,
    check_place,
    fingerprint,
    is_finished,
    read_manifest,
    record_finished,
)
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Request


class Summary(NamedTuple):
    """How many rows were made, skipped as already made, and failed."""

    made: int
    skipped: int
    failed: int


class _RowJob(NamedTuple):
    """A row to make. mark: the fingerprint by which a rerun knows it."""

    row: Row
    request: Request
    mark: str
    job: Job


def run_batch(manifest: Path, folder: Path, pipeline: Pipeline, report: Reporter) -> Summary:
    """Make every row's video; a bad row is reported and the rest go on.

    `pipeline.batch` rows are made at once, on all of its devices by the same programs, whatever
    their lengths. A rerun skips finished rows. Raises UserError if the manifest itself or the
    output folder is unusable.
    """
    rows = read_manifest(manifest, folder, report.note)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot make the output folder ({error.strerror})") from None
    pipeline.compile(report)
    counts = {"made": 0, "skipped": 0, "failed": 0}

    def outcome(row: Row, kind: str, text: str = "") -> None:
        counts[kind] += 1
        if kind == "failed":
            report.error(f"row {row.line}: skipped: {text}")
        report.event(
            "row",
            line=row.line,
            outcome=kind,
            message=text,
            output=str(row.request.output) if row.request else None,
        )

    todo = _todo(rows, pipeline, report, outcome)
    while group := list(islice(todo, pipeline.batch)):
        for number, failure in make_videos([made.job for made in group], pipeline, report):
            row, request, mark, job = group[number]
            if failure is None:
                failure = _recorded(request, mark, job.details)
            outcome(row, "failed" if failure else "made", str(failure or ""))
    summary = Summary(**counts)
    report.finish(
        f"{manifest}: {summary.made} made, {summary.skipped} already there, "
        f"{summary.failed} failed",
        **counts,
    )
    return summary


def _recorded(request: Request, mark: str, details: dict) -> UserError | None:
    """Note a finished row; why it cannot be noted, if so."""
    try:
        record_finished(request, mark, details)
    except UserError as error:
        return error
    except OSError as error:
        return UserError(f"{request.output}: {error.strerror or error}")
    return None


def _todo(
    rows: list[Row], pipeline: Pipeline, report: Reporter, outcome: Callable[..., None]
) -> Iterator[_RowJob]:
    for row in rows:
        request = row.request
        if request is None:
            outcome(row, "failed", row.error)
            continue
        try:
            details = metadata(request, pipeline)
            mark = fingerprint(request, {**details, "model": pipeline.identity})
            if is_finished(request, mark):
                outcome(row, "skipped")
                continue
            check_place(request, details)
            inputs = load_inputs(request, pipeline.config.face.image_size, report)
        except UserError as error:
            outcome(row, "failed", str(error))
            continue
        yield _RowJob(row, request, mark, Job(request, inputs, details))
