"""Motion tracks: speech, head pose, ARKit coefficients and gaze of synthetic heads, not rendered.

    python -m recipes.demo.data.tracks -o DIR --identities N --minutes M

Stage 2 needs no images, which take most of the time and nearly all of the space of a `synth` clip.
Speech, performance and labels equal those of the clip that the same plan renders. A person's shape
matters for the pose labels alone: the distance of the eyes from the head's pivot.
"""

import argparse
import functools
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.angles import gaze_angles, gaze_directions, rotation_matrices
from vasa_jax.audio.mu_law import compress, expand
from vasa_jax.data_pipeline.clip import EYE_SPAN
from vasa_jax.data_pipeline.main_gaze import main_gaze
from vasa_jax.data_pipeline.prepare.pool import run_jobs
from vasa_jax.data_pipeline.prepare.split import SPLITS
from vasa_jax.data_pipeline.synthetic.clipmaker import say
from vasa_jax.data_pipeline.synthetic.drawing.anchors import Anchors, find_anchors
from vasa_jax.data_pipeline.synthetic.drawing.mesh import load_mesh
from vasa_jax.data_pipeline.synthetic.drawing.person import (
    EYES_MOST,
    FLIP,
    HEAD_WIDTH,
    LIFT,
    Person,
)
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.identity import Identity
from vasa_jax.data_pipeline.synthetic.performance import perform
from vasa_jax.data_pipeline.synthetic.plan import (
    ClipJob,
    Plan,
    check_plan,
    clip_id,
    clip_jobs,
    name_of,
    person_seed,
)
from vasa_jax.data_pipeline.synthetic.speech import SpeechClip
from vasa_jax.data_pipeline.synthetic.track import MotionTrack
from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole
from vasa_jax.signals import exit_with
from vasa_jax.typing import ARKIT, EMOTIONS, FPS, SAMPLES_PER_FRAME, Float, Int

RECORD = "tracks.json"
FORMAT = 3
"""Raised when the same plan gives other tracks."""


class TrackClip(NamedTuple):
    """A clip of t frames without images; units and axes as in `vasa_jax.data_pipeline.clip.Clip`.

    audio: (t * 640,) int16. arkit: as rendered, lids that follow the eyes and blinks included.
    eyes: gaze relative to the head.
    """

    clip_id: str
    identity: str
    split: str
    voice: str
    audio: Int[np.ndarray, " n"]
    arkit: Float[np.ndarray, "t 52"]
    rotation: Float[np.ndarray, "t 3"]
    translation: Float[np.ndarray, "t 3"]
    log_scale: Float[np.ndarray, "t 1"]
    gaze: Float[np.ndarray, "t 2"]
    eyes: Float[np.ndarray, "t 2"]
    main_gaze: Float[np.ndarray, "2"]
    distance: Float[np.ndarray, ""] | np.float32
    emotion: Float[np.ndarray, "8"]
    phonemes: Int[np.ndarray, " t"]


_ROWS = {
    "arkit": (len(ARKIT),),
    "rotation": (3,),
    "translation": (3,),
    "log_scale": (1,),
    "gaze": (2,),
    "eyes": (2,),
    "phonemes": (),
}
_WORDS = ("clip_id", "identity", "split", "voice")
_HALVES = ("arkit", "gaze", "eyes")
"""Stored as float16, within 0.0003."""


class Stance(NamedTuple):
    """The parameters of a person that head pose labels depend on. Camera axes, mesh units."""

    arm: Float[np.ndarray, "3"]  # from the head's pivot to the midpoint of the outer eye corners
    rest: Float[np.ndarray, "3"]  # that midpoint at rest
    focal: float  # focal length in image widths
    span: float  # distance of the outer eye corners


def stance_of(identity: Identity) -> Stance:
    """The stance of a person, from the shaped mesh alone. UserError when the head model cannot be
    had."""
    mesh = load_mesh()
    person = Person(identity, mesh, [], _anchors())
    depth = identity.distance * HEAD_WIDTH
    focal = EYE_SPAN * np.exp(identity.log_scale) * depth / person.span
    x, y = (p * depth / (2 * focal) for p in identity.place)
    lifted = rotation_matrices(np.array([-LIFT, 0.0, 0.0]))
    arm = lifted @ ((person.middle - person.pivot) * FLIP).astype(np.float64)
    return Stance(arm, np.array([x, y, depth]), float(focal), person.span)


def pose_labels(stance: Stance, track: MotionTrack) -> dict[str, np.ndarray]:
    """rotation, translation, log_scale, gaze as `head.render_track` labels the rendered track, and
    eyes; float32."""
    turn = rotation_matrices(track.rotation)
    middle = stance.rest + track.offset * HEAD_WIDTH + (turn - np.eye(3)) @ stance.arm
    places = np.zeros_like(middle)
    places[:, :2] = 2 * stance.focal * middle[:, :2] / middle[:, 2:]
    scale = stance.focal * stance.span / middle[:, 2:] / EYE_SPAN
    eyes = _in_head(track.gaze, turn)
    eyes = np.clip(eyes, -EYES_MOST, EYES_MOST)
    labels = {
        "rotation": track.rotation,
        "translation": places,
        "log_scale": np.log(scale),
        "gaze": gaze_angles(np.einsum("tij,tj->ti", turn, gaze_directions(eyes))),
        "eyes": eyes,
    }
    return {name: np.asarray(value, np.float32) for name, value in labels.items()}


def eyes_in_head(
    gaze: Float[np.ndarray, "t 2"], rotation: Float[np.ndarray, "t 3"]
) -> Float[np.ndarray, "t 2"]:
    """Gaze relative to the head, from gaze relative to the camera."""
    return _in_head(gaze, rotation_matrices(rotation)).astype(np.float32)


def _in_head(gaze, turn):
    return gaze_angles(np.einsum("tji,tj->ti", turn, gaze_directions(gaze)))


def make_track(job: ClipJob, plan: Plan) -> TrackClip:
    """The clip of a job (`clipmaker.make_clip`) without images."""
    identity, stance = _person(person_seed(plan, job.person), plan.assets)
    speech = say(job, plan, identity.sex)
    track = perform((plan.seed, 3, job.person, job.clip), speech)
    return label(job, plan, stance, speech, track)


def label(
    job: ClipJob, plan: Plan, stance: Stance, speech: SpeechClip, track: MotionTrack
) -> TrackClip:
    """A performance with its labels."""
    labels = pose_labels(stance, track)
    return TrackClip(
        clip_id=clip_id(plan, job),
        identity=name_of(plan, job.person),
        split=job.split,
        voice=speech.voice,
        audio=np.round(np.clip(speech.waveform, -1, 1) * 32767).astype(np.int16),
        arkit=track.arkit.astype(np.float32),
        **labels,
        main_gaze=main_gaze(labels["gaze"]),
        distance=np.exp(-labels["log_scale"].mean()).astype(np.float32),
        emotion=track.emotion.astype(np.float32),
        phonemes=track.phonemes.astype(np.int16),
    )


@functools.lru_cache(4)
def _person(seed: int, assets: Path | None) -> tuple[Identity, Stance]:
    identity = sample_identity(seed, assets)
    return identity, stance_of(identity)


@functools.cache
def _anchors() -> Anchors:
    return find_anchors(load_mesh())


def write_track(path: Path, clip: TrackClip) -> None:
    """One compressed .npz file, about 15 kB a second, written atomically."""
    _check(clip)
    arrays: dict[str, Any] = {k: np.asarray(v) for k, v in clip._asdict().items()}
    arrays["audio"] = compress(clip.audio)
    arrays |= {name: arrays[name].astype(np.float16) for name in _HALVES}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    write_whole(path, "track", stream.getvalue())


def read_track(path: Path) -> TrackClip:
    """The track of a file. Raises UserError for one that cannot be read, naming it."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in TrackClip._fields}
        arrays |= {name: str(arrays[name]) for name in _WORDS}
        arrays |= {name: arrays[name].astype(np.float32) for name in _HALVES}
        clip = TrackClip(**arrays | {"audio": expand(arrays["audio"])})
        _check(clip)
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise UserError(f"{path}: is not a readable track ({error}); make it anew") from None
    return clip


def _check(clip: TrackClip) -> None:
    count = len(clip.arkit)
    shapes = {name: (count, *row) for name, row in _ROWS.items()}
    shapes |= {
        "audio": (count * SAMPLES_PER_FRAME,),
        "main_gaze": (2,),
        "distance": (),
        "emotion": (len(EMOTIONS),),
    }
    for name, shape in shapes.items():
        value = getattr(clip, name)
        kind = np.int16 if name in ("audio", "phonemes") else np.float32
        if value.shape != shape or value.dtype != kind or not np.isfinite(value).all():
            raise ValueError(
                f"{clip.clip_id}: {name} is {value.dtype} {value.shape}, or not finite"
            )


def find_tracks(folder: Path) -> dict[str, list[Path]]:
    """The files of each split, in order. Raises UserError for a folder without any."""
    found = {split: sorted((Path(folder) / split).glob("synth*.npz")) for split in SPLITS}
    if not any(found.values()):
        raise UserError(
            f"{folder}: holds no tracks; make them by `python -m recipes.demo.data.tracks`"
        )
    return found


def make_tracks(plan: Plan, out: Path, tell: Callable[[str], None], workers: int = 0) -> int:
    """Write `out`/SPLIT/CLIP.npz for every clip of a plan; returns how many were made now.

    Existing files are kept, so an interrupted run continues, and a plan may grow. tell: called with
    a line of progress every 30 s. workers: processes; 0: this one. Raises UserError for a bad plan,
    a folder of another plan, and missing weights.
    """
    check_plan(plan)
    _claim(Path(out), plan)
    jobs = sorted(clip_jobs(plan), key=lambda job: job.clip)  # everyone early
    todo = [job for job in jobs if not place_of(out, plan, job).is_file()]
    start = last = time.monotonic()
    for number, outcome in enumerate(run_jobs(write_one, todo, workers, (plan, Path(out))), 1):
        if outcome.error is not None:
            raise outcome.error
        if (now := time.monotonic()) - last > 30 or number == len(todo):
            last = now
            minutes = number * plan.frames / FPS / 60
            tell(
                f"{len(jobs) - len(todo) + number} of {len(jobs)} clips, "
                f"{minutes:.1f} minutes of motion in {now - start:.0f} s"
            )
    return len(todo)


def place_of(out: Path, plan: Plan, job: ClipJob) -> Path:
    """The file of a job."""
    return Path(out) / job.split / f"{clip_id(plan, job)}.npz"


def write_one(job: ClipJob, plan: Plan, out: Path) -> None:
    """Make and store one track."""
    write_track(place_of(out, plan, job), make_track(job, plan))


def _claim(out: Path, plan: Plan) -> None:
    """Record what the tracks depend on; UserError where the folder holds tracks of another plan."""
    record = {
        "format": FORMAT,
        "seed": plan.seed,
        "frames": plan.frames,
        "shares": [plan.val_share, plan.test_share],
        "held_out_voices": plan.held_out_voices,
        **({"mixed_voices": True} if plan.mixed_voices else {}),
    }
    path = out / RECORD
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        write_whole(path, "record", json.dumps(record) + "\n")
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); choose another folder") from None
    if found != record:
        raise UserError(
            f"{out}: holds tracks of another plan; choose another folder, or delete this one"
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR")
    parser.add_argument("--identities", type=int, default=20, metavar="N")
    parser.add_argument("--minutes", type=float, default=20.0, metavar="M")
    parser.add_argument("--seconds", type=float, default=6.0, help="longest clip (default: 6)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--mixed-voices", action="store_true", help="mix two voices for most people of train"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes (default: this one)")
    given = parser.parse_args(arguments)
    plan = Plan(
        given.seed,
        given.identities,
        given.minutes,
        seconds=given.seconds,
        any_faces=True,
        mixed_voices=given.mixed_voices,
    )
    tell = functools.partial(print, flush=True)
    made = make_tracks(plan, given.output, tell, given.workers)
    tell(f"{given.output}: {made} tracks made")
    return 0


if __name__ == "__main__":
    exit_with(main)
