"""`vasa-jax prepare`: a folder of videos to a TFDS dataset, a report and a data card."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vasa_jax import zoo
from vasa_jax.data_pipeline.prepare.clip_job import CLIPS, failed, prepare_source
from vasa_jax.data_pipeline.prepare.labels import Labellers
from vasa_jax.data_pipeline.prepare.options import PrepareOptions, check_options
from vasa_jax.data_pipeline.prepare.place import REPORT, SUMMARY, check_place
from vasa_jax.data_pipeline.prepare.pool import Outcome, run_jobs
from vasa_jax.data_pipeline.prepare.report import (
    Result,
    SourceReport,
    StepTotal,
    step_totals,
    to_json,
    write_json,
)
from vasa_jax.data_pipeline.prepare.sources import Source, find_sources
from vasa_jax.data_pipeline.prepare.split import SPLITS, split_of
from vasa_jax.errors import UserError
from vasa_jax.typing import FPS


@runtime_checkable
class Progress(Protocol):
    """What the user is shown; `vasa_jax.inference.progress.Reporter` is one."""

    def stage(
        self, name: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]: ...

    def note(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...

    def event(self, kind: str, **values: Any) -> None: ...


def prepare_folder(
    videos: Path,
    out: Path,
    options: PrepareOptions,
    progress: Progress,
    *,
    labellers: Labellers | None = None,
    workers: int = 1,
    identity_from: str = "auto",
    val_share: float = 0.05,
    test_share: float = 0.05,
    verbose: bool = False,
    run: Callable[..., Iterator[Outcome]] | None = None,
    beam_runner: Any = None,
) -> Result:
    """Every video below `videos` to clips, and all clips to a TFDS dataset under `out`.

    Finished videos are skipped; one that is broken, or kills its worker, is reported and the rest
    go on. workers: processes, 0 works here. run: another way to run the jobs than `run_jobs`, with
    its arguments and outcomes. beam_runner: for the writing of the shards. The dataset is
    `voxceleb2` where all videos lie in that layout, else `video_folder`. Raises UserError for bad
    options, a folder without videos, missing weights and a place that cannot be written.
    """
    from vasa_jax.data_pipeline.datasets import write
    from vasa_jax.data_pipeline.prepare.card import write_card

    check_options(options)
    split_of([], val_share, test_share)
    out, labellers = Path(out), labellers or Labellers()
    found = find_sources(videos, identity_from)
    sources = found.videos
    if found.note:
        progress.note(found.note)
    check_place(out)
    write.check_place(out, builder_name(sources))
    _make_folder(out)
    with progress.stage("load"):
        # Here and once, lest every worker downloads them.
        for name in ("face-landmarker", "brisque"):
            zoo.ensure(name)
        labellers.load()
    by_number: dict[int, SourceReport] = {}
    with progress.stage("clips", len(sources)) as advance:
        outcomes = (run or run_jobs)(prepare_source, sources, workers, (out, options, labellers))
        for outcome in outcomes:
            report = _report_of(sources[outcome.number], outcome)
            by_number[outcome.number] = report
            _tell(progress, report, verbose)
            advance(1)
    reports = [by_number[number] for number in range(len(sources))]
    splits = split_of({r.identity for r in reports if r.clips}, val_share, test_share)
    files = {
        split: [
            out / CLIPS / c.file
            for r in reports
            if splits.get(r.identity) == split
            for c in r.clips
        ]
        for split in SPLITS
    }
    files = {split: paths for split, paths in files.items() if paths}
    write_json(out / REPORT, [to_json(r) | {"split": splits.get(r.identity)} for r in reports])
    result = Result(reports, splits, None, found.left_out)
    if files:
        with progress.stage("dataset", sum(map(len, files.values()))) as advance:
            result = result._replace(
                dataset=write.write_dataset(
                    out, builder_name(sources), files, advance=advance, beam_runner=beam_runner
                )
            )
    write_json(out / SUMMARY, summary(result, options, labellers))
    with progress.stage("card"):
        write_card(out, result, options, labellers)
    return result


def builder_name(sources: Sequence[Source]) -> str:
    """The TFDS builder for these videos."""
    inside = all(s.identity[:2] == "id" and s.identity[2:].isdigit() for s in sources)
    return "voxceleb2" if inside else "video_folder"


def summary(result: Result, options: PrepareOptions, labellers: Labellers) -> dict[str, Any]:
    """The content of report.json."""
    outcomes = [r.outcome for r in result.reports]
    frames = {
        split: sum(
            c.stop - c.start
            for r in result.reports
            for c in r.clips
            if result.splits.get(r.identity) == split
        )
        for split in SPLITS
    }
    return {
        "videos": {kind: outcomes.count(kind) for kind in ("made", "skipped", "failed")},
        "files left out": dict(result.left_out),
        "clips": {split: result.clips(split) for split in SPLITS},
        "minutes": {split: round(count / FPS / 60, 3) for split, count in frames.items()},
        "identities": {s: list(result.splits.values()).count(s) for s in SPLITS},
        "steps": [row._asdict() for row in step_totals(result.reports)],
        "options": options._asdict(),
        "labellers": labellers.names,
    }


def step_lines(totals: Sequence[StepTotal]) -> list[str]:
    """What the screen shows of every step: seconds, seconds of video given up, and why."""
    lines = []
    for row in totals:
        why = ", ".join(f"{reason} x{count}" for reason, count in row.reasons.items())
        lost = f"{row.discarded / FPS:7.1f} s discarded" if row.reasons else f"{'nothing':>19}"
        lines.append(f"{row.step:<8}{row.seconds:8.1f} s{lost}{'  ' + why if why else ''}")
    return lines


def _report_of(source: Source, outcome: Outcome) -> SourceReport:
    if outcome.error is None:
        return outcome.value
    if isinstance(outcome.error, UserError):  # not the video's fault: every one would meet it
        raise outcome.error
    return failed(source, f"{type(outcome.error).__name__}: {outcome.error}")


def _tell(progress: Progress, report: SourceReport, verbose: bool) -> None:
    if report.outcome == "failed":
        progress.error(report.one_line())
    elif verbose or not report.clips:
        progress.note(report.one_line())
    if verbose:
        for step, line in report.lines.items():
            progress.note(f"    {step:<8}{line}")
    progress.event("row", **json.loads(json.dumps(to_json(report))))


def _make_folder(out: Path) -> None:
    try:
        (out / CLIPS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror or error}); choose a folder "
            "that you may write to"
        ) from None
