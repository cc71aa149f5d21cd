"""`prepare` as an Apache Beam pipeline on several machines.

Every Beam worker does what a process of the pool does, by the same function, and writes into the
same folder, which all of them must share (NFS, a mounted bucket); so a run that was cut off goes on
where it stopped, on whichever machine. TFDS then writes the shards by the same runner.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vasa_jax.data_pipeline.prepare.labels import Labellers
from vasa_jax.data_pipeline.prepare.options import PrepareOptions
from vasa_jax.data_pipeline.prepare.pool import Outcome, WorkerDied
from vasa_jax.data_pipeline.prepare.report import from_json, to_json
from vasa_jax.data_pipeline.prepare.sources import Source
from vasa_jax.errors import UserError, require_modules


def beam_jobs(flags: str) -> Callable[..., Iterator[Outcome]]:
    """A replacement of `pool.run_jobs` for `prepare_folder`.

    flags: of Beam, as "--runner=FlinkRunner --flink_master=..."; "" is the local DirectRunner.
    Outcomes come when the pipeline has ended. Raises UserError without apache-beam, or where the
    pipeline fails as a whole.
    """
    _beam()

    def run(
        function: Callable, jobs: Sequence[Source], workers: int, shared: tuple
    ) -> Iterator[Outcome]:
        del workers  # Beam's own flags say how many
        return _run(function, jobs, shared, flags)

    return run


def beam_runner(flags: str) -> Any:
    """The runner of these flags, for `write_dataset`."""
    _beam()
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners import create_runner

    chosen = PipelineOptions(flags.split()).view_as(StandardOptions).runner
    return create_runner(chosen or "DirectRunner")


def _run(
    function: Callable,
    jobs: Sequence[Source],
    shared: tuple[Path, PrepareOptions, Labellers],
    flags: str,
) -> Iterator[Outcome]:
    beam = _beam()
    folder = shared[0] / f".beam-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        try:
            options = beam.options.pipeline_options.PipelineOptions(flags.split())
            with beam.Pipeline(options=options) as pipeline:
                (
                    pipeline
                    | "videos" >> beam.Create(list(enumerate(jobs)))
                    | "spread" >> beam.Reshuffle()
                    | "prepare" >> beam.Map(work, function, shared)
                    | "outcomes" >> beam.io.WriteToText(str(folder / "outcome"))
                )
        except Exception as error:  # each runner has its own
            raise UserError(
                f"the Beam pipeline failed ({type(error).__name__}: {error}); finished "
                "clips stay, so run the same command again"
            ) from None
        left = set(range(len(jobs)))
        for file in sorted(folder.glob("outcome*")):
            for line in file.read_text().splitlines():
                outcome = _read(json.loads(line))
                left.discard(outcome.number)
                yield outcome
        for number in sorted(left):
            yield Outcome(number, error=WorkerDied("the pipeline gave no outcome"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def work(numbered: tuple[int, Source], function: Callable, shared: tuple) -> str:
    """function(job, *shared) on a Beam worker; its outcome as a line of JSON."""
    number, job = numbered
    try:
        return json.dumps({"number": number, "report": to_json(function(job, *shared))})
    except Exception as error:  # a retry by Beam would meet it again
        mine = "UserError" if isinstance(error, UserError) else type(error).__name__
        return json.dumps({"number": number, "kind": mine, "text": str(error)})


def _read(line: dict[str, Any]) -> Outcome:
    if "report" in line:
        return Outcome(line["number"], from_json(line["report"]))
    if line["kind"] == "UserError":
        return Outcome(line["number"], error=UserError(line["text"]))
    return Outcome(line["number"], error=RuntimeError(f"{line['kind']}: {line['text']}"))


def _beam() -> Any:
    require_modules("apache_beam")
    import apache_beam
    import apache_beam.options.pipeline_options

    return apache_beam
