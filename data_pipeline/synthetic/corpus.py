"""`vasa-jax synth`: a corpus of synthetic heads, rendered by many processes, resumable."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from vasa_jax import zoo
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.data_pipeline.prepare.pool import run_jobs
from vasa_jax.data_pipeline.prepare.split import SPLITS
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.data_pipeline.synthetic import identity_distance
from vasa_jax.data_pipeline.synthetic.identity_selection import (
    Selected,
    distinct_partners,
    select_identities,
    summarise,
    summary_lines,
)
from vasa_jax.data_pipeline.synthetic.plan import (
    ClipJob,
    Plan,
    SwapJob,
    check_plan,
    clip_id,
    clip_jobs,
    fingerprint,
    swap_jobs,
)
from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole

RECORD = "plan.json"
_WEIGHTS = ("anny-heads",)
_FACE_WEIGHTS = ("dlib-face-recognition",)
_SPEECH_WEIGHTS = ("kokoro-1", "kokoro-2", "kokoro-3", "kokoro-4", "kokoro-voices")


@runtime_checkable
class Progress(Protocol):
    """What the user is shown; `vasa_jax.inference.progress.Reporter` is one."""

    def stage(
        self, name: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]: ...

    def note(self, text: str) -> None: ...


class Corpus(NamedTuple):
    """What a run made: clips drawn now and found finished, frames and pictures drawn now, the
    folders of the data sets of clips and (or None) of swaps, and how far people are from each other
    (`summarise`; None where that was not asked for)."""

    made: int
    skipped: int
    frames: int
    dataset: Path
    swaps: Path | None
    cast: dict[str, Any] | None


def synthesise(plan: Plan, out: Path, progress: Progress, workers: int = 1) -> Corpus:
    """Draw the clips of a plan into `out`/clips and write them as TFDS `synthetic_heads`.

    A file appears whole or not at all, and is not drawn again by the next run of the same plan, so
    an interrupted run goes on where it was. A plan may grow (identities, minutes, swaps) in a
    folder; what changes the clips themselves needs another folder. workers: processes; 0 draws in
    this one. Raises UserError for a bad plan, a folder of another plan, missing weights or EGL.
    """
    from vasa_jax.data_pipeline.datasets.write import check_place, write_dataset, write_swaps

    check_plan(plan)
    out, record = Path(out), fingerprint(plan)
    _compare(out, record)
    for kind in ("clips", "swaps")[: 2 if plan.swaps else 1]:
        check_place(out, "synthetic_heads", kind)
    with progress.stage("load"):
        # Here and once, lest every worker downloads them.
        for name in _WEIGHTS + (() if plan.speech else _SPEECH_WEIGHTS):
            zoo.ensure(name, progress.note)
        if not plan.any_faces:
            _ensure_faces(progress)
    _claim(out, record)
    plan, members = settle_identities(plan, out, progress, workers)
    clips = clip_jobs(plan)
    swaps = swap_jobs(plan, distinct_partners(members) if members else None) if plan.swaps else []
    summary = summarise(members) if members else None
    words = describe(plan, summary)
    jobs: list[ClipJob | SwapJob] = [*clips, *swaps]
    drawn, frames = draw_missing(jobs, plan, out, progress, workers)
    with progress.stage("dataset", len(jobs)) as advance:
        files = {s: [place_of(out, plan, j) for j in clips if j.split == s] for s in SPLITS}
        dataset = write_dataset(out, "synthetic_heads", files, words, advance=advance)
        groups = None
        if swaps:
            files = {s: [place_of(out, plan, j) for j in swaps if j.split == s] for s in SPLITS}
            groups = write_swaps(out, files, words, advance=advance)
    fresh = sum(isinstance(job, ClipJob) for job in drawn)
    return Corpus(fresh, len(clips) - fresh, frames, dataset, groups, summary)


def settle_identities(
    plan: Plan, out: Path, progress: Progress, workers: int
) -> tuple[Plan, list[Selected]]:
    """The plan with its identities chosen, and these; with `any_faces` none are compared."""
    if plan.any_faces:
        return plan, []
    with progress.stage("cast", plan.identities) as advance:
        members = select_identities(
            plan, out, identity_distance.portrait, identity_distance.embedder, advance, workers
        )
    return plan._replace(cast=tuple(member.face.seed for member in members)), members


def draw_missing(
    jobs: Sequence[ClipJob | SwapJob], plan: Plan, out: Path, progress: Progress, workers: int
) -> tuple[list[ClipJob | SwapJob], int]:
    """Draw the jobs that have no file yet; those, and how many pictures they have in all."""
    todo = [job for job in jobs if not place_of(out, plan, job).is_file()]
    pictures = 0
    with progress.stage("draw", len(todo)) as advance:
        for outcome in run_jobs(draw, todo, workers, (plan, out)):
            if outcome.error is not None:
                raise outcome.error
            pictures += outcome.value
            advance(1)
    return todo, pictures


def draw(job: ClipJob | SwapJob, plan: Plan, out: Path) -> int:
    """Make and store one clip or group of swaps; the number of its pictures."""
    from vasa_jax.data_pipeline.synthetic.clipmaker import make_clip
    from vasa_jax.data_pipeline.synthetic.swapping import make_group

    path = place_of(out, plan, job)
    if isinstance(job, SwapJob):
        group = make_group(job, plan)
        write_group(path, group)
        return len(group.images)
    clip = make_clip(job, plan)
    write_clip(path, clip)
    return len(clip.frames)


def place_of(out: Path, plan: Plan, job: ClipJob | SwapJob) -> Path:
    """The file of a job."""
    if isinstance(job, SwapJob):
        return out / "swaps" / f"{job.number:05d}-{'-'.join(map(str, job.people))}.npz"
    return out / "clips" / f"{clip_id(plan, job)}.npz"


def describe(plan: Plan, cast: dict[str, Any] | None = None) -> str:
    """A sentence for the data set's card."""
    speech = "given recordings" if plan.speech else "Kokoro-82M"
    textures = "MakeHuman's CC0 textures" if plan.assets else "procedural textures"
    told = "" if cast is None else f" {'; '.join(summary_lines(cast))}."
    return (
        f"{plan.identities} identities with {textures}, {plan.clips_each} clips of "
        f"{plan.frames} frames each, speech from {speech}, seed "
        f"{plan.seed}.{told}"
    )


def _ensure_faces(progress):
    try:
        for name in _FACE_WEIGHTS:
            zoo.ensure(name, progress.note)
    except UserError as error:
        raise UserError(
            f"people cannot be told apart ({error}); connect to the network once, or "
            "take people who may look alike: --any-faces"
        ) from None


def _claim(out: Path, record: dict[str, Any]) -> None:
    """Write the plan's record into the folder where none lies."""
    if not (out / RECORD).exists():
        write_whole(out / RECORD, "plan", json.dumps(record, indent=1) + "\n")


def _compare(out: Path, record: dict[str, Any]) -> None:
    """Raise UserError where the record that lies in the folder is of another plan."""
    path = out / RECORD
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); choose another folder") from None
    differ = [key for key in record if not isinstance(found, dict) or found.get(key) != record[key]]
    if differ:
        raise UserError(
            f"{out}: holds clips of another plan (its {', '.join(differ)} differ); "
            "choose another folder, or delete this one"
        )
