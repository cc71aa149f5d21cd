"""Many portraits with many clips through one set of compiled programs."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vasa_jax.errors import UserError
from vasa_jax.inference.generate import ClipFile, Inputs, clip_of, load_inputs, metadata
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
from vasa_jax.inference.render import render
from vasa_jax.typing import Frames


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

    jobs = _jobs(rows, pipeline, report, outcome)
    while group := list(islice(jobs, pipeline.batch)):
        for job, problem in _run_group(group, pipeline, report):
            outcome(job.row, "failed" if problem else "made", problem or "")
    summary = Summary(**counts)
    report.finish(
        f"{manifest}: {summary.made} made, {summary.skipped} already there, "
        f"{summary.failed} failed",
        **counts,
    )
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
    """Each job of up to `pipeline.batch` as it ends, with the reason if it failed."""
    with report.stage("encode"):
        sources = pipeline.encode_all([job.inputs.portrait.crop.image for job in group])
    clips = [clip_of(j.row.request, j.inputs, s) for j, s in zip(group, sources, strict=True)]
    files: dict[int, ClipFile] = {}
    ended: set[int] = set()

    def end(number: int, action: Callable[[], None]) -> str | None:
        """Run what may end a clip; why it failed, if so."""
        problem, output = None, group[number].row.request.output
        try:
            action()
        except UserError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{output}: {error.strerror or error}"
        if problem is not None:
            ended.add(number)
            if number in files:
                files[number].abandon()
        return problem

    def begin(number: int) -> None:
        job = group[number]
        request, inputs = job.row.request, job.inputs
        files[number] = ClipFile(
            request.output,
            inputs.portrait,
            request.picture,
            inputs.clip.seconds,
            request.audio,
            job.details,
        )

    def write(number: int, frames: Frames | UserError) -> None:
        if isinstance(frames, UserError):
            raise frames
        with report.timed("write"):
            files[number].write(frames)
            if files[number].frames == clips[number].frames:
                files[number].finish()
                job = group[number]
                record_finished(job.row.request, job.mark, job.details)
                ended.add(number)

    total = sum(clip.frames for clip in clips)
    try:
        with report.stage("decode", total) as advance:
            for number, job in enumerate(group):
                if problem := end(number, lambda number=number: begin(number)):
                    yield job, problem
            for number, frames in render(clips, pipeline, report, dropped=ended):
                if number in ended:
                    continue
                problem = end(number, lambda n=number, frames=frames: write(n, frames))
                advance(0 if isinstance(frames, UserError) else len(frames))
                if number in ended:
                    yield group[number], problem
    finally:
        for file in files.values():
            file.abandon()
