"""The plan of a synthetic corpus: identities, clips, voices and seeds."""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.prepare.split import SPLITS, split_of
from vasa_jax.errors import UserError
from vasa_jax.media.folders import SOUNDS, VIDEOS, Found, find_files
from vasa_jax.typing import FPS

LEAST_SECONDS = 1.0
FORMAT = 7
"""Goes up when the same plan draws other clips, so that old ones are not taken for new ones."""


class Plan(NamedTuple):
    """A synthetic corpus."""

    seed: int
    identities: int
    minutes: float  # of all clips together, at least
    size: int = 256
    seconds: float = 6.0  # of a clip, at most
    assets: Path | None = None
    speech: tuple[Path, ...] = ()  # sound files to speak instead of Kokoro, none for Kokoro
    recognise: bool = False  # whether their phonemes are recognised to move the mouth
    # Groups of exact swaps, swap_people people in swap_poses poses with swap_dynamics expressions
    # each (all 2 or more).
    swaps: int = 0
    swap_people: int = 2
    swap_poses: int = 2
    swap_dynamics: int = 9
    # Whether people of a group have one skin and hair on their different heads, which are drawn
    # several times as fast: for encoders, which lack people before they lack skins.
    swap_looks: bool = False
    places: bool = False  # whether groups tell which place of the head is seen where
    val_share: float = 0.1
    test_share: float = 0.1
    # Whether val and test speak with voices that train does not have.
    held_out_voices: bool = True
    # Whether most people of train speak with a mixture of two of train's voices, so that there are
    # as many voices as people.
    mixed_voices: bool = False
    jpeg_quality: int = 92
    any_faces: bool = False  # whether people may look alike to an identity network
    # Else the seed of everyone's face, settled by `identity_selection.select_identities`.
    cast: tuple[int, ...] = ()

    @property
    def frames(self) -> int:
        """Of each clip."""
        return round(min(self.seconds, self.minutes * 60 / self.identities) * FPS)

    @property
    def clips_each(self) -> int:
        """Clips of one person."""
        return max(1, int(np.ceil(self.minutes * 60 * FPS / self.frames / self.identities - 1e-6)))


class ClipJob(NamedTuple):
    """One clip to make."""

    person: int  # number of the identity
    clip: int  # of this person's clip
    split: str


class SwapJob(NamedTuple):
    """One group of swaps to make."""

    number: int
    people: tuple[int, ...]
    split: str


def check_plan(plan: Plan) -> None:
    """Raises UserError for a plan that cannot be carried out."""
    for name, least in (("identities", 1), ("size", 64), ("seed", 0), ("swaps", 0)):
        if getattr(plan, name) < least:
            raise UserError(f"--{name} {getattr(plan, name)} must be at least {least}")
    if plan.size % 16 or plan.size > 1024:
        raise UserError(f"--size {plan.size} must be a multiple of 16, at most 1024")
    if plan.seconds < LEAST_SECONDS:
        raise UserError(f"--seconds {plan.seconds:g} must be at least {LEAST_SECONDS:g}")
    if plan.minutes <= 0 or plan.minutes * 60 / plan.identities < LEAST_SECONDS:
        raise UserError(
            f"--minutes {plan.minutes:g} are less than {LEAST_SECONDS:g} s for each of "
            f"{plan.identities} identities; ask for more minutes"
        )
    if plan.swaps and plan.identities < plan.swap_people:
        raise UserError(f"--swaps needs at least {plan.swap_people} identities to swap")
    split_of([], plan.val_share, plan.test_share)
    if plan.swaps:
        _rooms(plan)


def name_of(plan: Plan, person: int) -> str:
    """The identity's name, which also settles its split."""
    return f"synth{plan.seed}-{person:05d}"


def clip_id(plan: Plan, job: ClipJob) -> str:
    return f"{name_of(plan, job.person)}-{job.clip:03d}"


def person_seed(plan: Plan, person: int) -> int:
    """The seed of an identity for `sample_identity`: as cast, else the first candidate."""
    return plan.cast[person] if plan.cast else candidate_seed(plan.seed, person, 0)


def candidate_seed(seed: int, person: int, attempt: int) -> int:
    """The seed of the face that is tried for a person of a plan in this attempt, from 0 on."""
    return int(np.random.SeedSequence((seed, 1, person)).generate_state(attempt + 1)[attempt])


def clip_jobs(plan: Plan) -> list[ClipJob]:
    """Every clip, a person's clips one after another."""
    splits = _splits(plan)
    return [
        ClipJob(person, clip, splits[person])
        for person in range(plan.identities)
        for clip in range(plan.clips_each)
    ]


def swap_jobs(
    plan: Plan, far: Callable[[int, Sequence[int]], Sequence[int]] | None = None
) -> list[SwapJob]:
    """Every group of swaps: people of one split, who change places evenly over the groups.

    far: which of these people differ enough from a group's first to be another; None: all do.
    """
    rooms = _rooms(plan)
    names, shares = list(rooms), np.array([len(people) for people in rooms.values()], float)
    jobs = []
    for number in range(plan.swaps):
        rng = np.random.default_rng((plan.seed, 4, number))
        split = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        room = rooms[split]
        people = [room[int(rng.choice(len(room)))]]
        while len(people) < plan.swap_people:
            people.append(_another(rng, room, people, far))
        jobs.append(SwapJob(number, tuple(people), split))
    return jobs


def _another(rng: np.random.Generator, room: list[int], people: list[int], far) -> int:
    """One of a room (ascending) who is not among these people."""
    if far is not None:
        others = [person for person in room if person not in people]
        return int(rng.choice(far(people[0], others)))
    place = int(rng.choice(len(room) - len(people)))  # no list of all the others for each draw
    for taken in sorted(people):
        place += place >= bisect_left(room, taken)
    return room[place]


def find_speech(folder: Path) -> Found:
    """The sound files and the videos below a folder. Raises UserError when there is none."""
    if not folder.is_dir():
        raise UserError(f"--speech {folder}: no such folder")
    found = find_files(folder, SOUNDS + VIDEOS)
    if not found.files:
        left = f"; {found.note('recordings')}" if found.left_out else ""
        raise UserError(f"--speech {folder}: holds no sound ({', '.join(SOUNDS[:7])}, ...){left}")
    return found


def fingerprint(plan: Plan) -> dict[str, object]:
    """What a clip depends on besides its number, so that a folder is not filled by two plans."""
    return {
        "format": FORMAT,
        "seed": plan.seed,
        "size": plan.size,
        "frames": plan.frames,
        "jpeg_quality": plan.jpeg_quality,
        "assets": assets_mark(plan.assets),
        "speech": _marks(plan.speech),
        "recognise": plan.recognise,
        "shares": [plan.val_share, plan.test_share],
        "held_out_voices": plan.held_out_voices,
        "any_faces": plan.any_faces,
        "swap_counts": [plan.swap_poses, plan.swap_dynamics],
        # Only where it is so: folders of plans before it stay theirs.
        **({"places": True} if plan.places else {}),
        **({"mixed_voices": True} if plan.mixed_voices else {}),
        **({"swap_people": plan.swap_people} if plan.swap_people != 2 else {}),
        **({"swap_looks": True} if plan.swap_looks else {}),
    }


def assets_mark(assets: Path | None) -> str:
    """By which a folder of assets is known again; "" of none."""
    return _marks(sorted(assets.rglob("*"))) if assets else ""


def _splits(plan: Plan) -> list[str]:
    names = [name_of(plan, person) for person in range(plan.identities)]
    splits = split_of(names, plan.val_share, plan.test_share)
    return [splits[name] for name in names]


def _rooms(plan: Plan) -> dict[str, list[int]]:
    """The people of each split that has enough for a group."""
    splits = _splits(plan)
    rooms = {s: [p for p in range(plan.identities) if splits[p] == s] for s in SPLITS}
    rooms = {s: people for s, people in rooms.items() if len(people) >= plan.swap_people}
    if not rooms:
        raise UserError(
            f"--swaps needs {plan.swap_people} identities in one split, and "
            f"{plan.identities} are too few for that; raise --identities"
        )
    return rooms


def _marks(files) -> str:
    """A hash of names and sizes; "" of none."""
    marks = [f"{file.name} {file.stat().st_size}" for file in files if file.is_file()]
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:16] if marks else ""
