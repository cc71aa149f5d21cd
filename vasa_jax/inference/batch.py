"""Many portraits with many clips through one set of compiled programs."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vasa_jax.errors import UserError
from vasa_jax.inference.generate import (
    Inputs,
    finish_clip,
    load_inputs,
    metadata,
)
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
from vasa_jax.media.writer import frame_count


class Summary(NamedTuple):
    """How many rows were made, skipped as already made, and failed."""

    made: int
    skipped: int
    failed: int


class _Job(NamedTuple):
    row: Row
    inputs: Inputs
    mark: str
    details: dict


def run_batch(manifest: Path, folder: Path, pipeline: Pipeline, report: Reporter) -> Summary:
    """Make every row's video; a bad row is reported and the rest go on.

    Rows are sampled `pipeline.batch` at a time in one padded program and decoded one after
    another by the same program, whatever their lengths. A rerun skips finished rows. Raises
    UserError if the manifest itself or the output folder is unusable.
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
        report.event("row", line=row.line, outcome=kind, message=text,
                     output=str(row.request.output) if row.request else None)  # fmt: skip

    jobs = _jobs(rows, pipeline, report, outcome)
    while group := list(islice(jobs, pipeline.batch)):
        for job, problem in _run_group(group, pipeline, report):
            outcome(job.row, "failed" if problem else "made", problem or "")
    summary = Summary(**counts)
    report.finish(f"{manifest}: {summary.made} made, {summary.skipped} already there, "
                  f"{summary.failed} failed", **counts)  # fmt: skip
    return summary


def _jobs(rows: list[Row], pipeline: Pipeline, report: Reporter, outcome) -> Iterator[_Job]:
    for row in rows:
        if row.request is None:
            outcome(row, "failed", row.error)
            continue
        try:
            details = metadata(row.request, pipeline)
            mark = fingerprint(row.request, {**details, "model": pipeline.identity})
            if is_finished(row.request, mark):
                outcome(row, "skipped")
                continue
            check_place(row.request, details)
            inputs = load_inputs(row.request, pipeline.config.face.image_size, report)
        except UserError as error:
            outcome(row, "failed", str(error))
            continue
        yield _Job(row, inputs, mark, details)


def _run_group(
    group: list[_Job], pipeline: Pipeline, report: Reporter
) -> Iterator[tuple[_Job, str | None]]:
    with report.stage("audio", len(group)) as advance:
        features = []
        for job in group:
            count = frame_count(job.inputs.clip.seconds)
            features.append(pipeline.audio(job.inputs.clip.waveform)[:count])
            advance(1)
    with report.stage("encode"):
        sources = [pipeline.encode(job.inputs.portrait.crop.image) for job in group]
    windows = max(pipeline.windows(len(f)) for f in features)
    with report.stage("sample", windows) as advance:
        requests = [job.row.request for job in group]
        motions = pipeline.sample(
            features, [r.controls for r in requests], [r.seed for r in requests],
            advance=advance, sources=sources,
        )  # fmt: skip
    for job, source, motion in zip(group, sources, motions, strict=True):
        request, inputs = job.row.request, job.inputs
        try:
            motion = pipeline.stay(source, motion, request.controls.distance)
            finish_clip(request, inputs, motion, pipeline, source, report)
            record_finished(request, job.mark, job.details)
            yield job, None
        except UserError as error:
            yield job, str(error)
        except OSError as error:
            yield job, f"{request.output}: {error.strerror or error}"
