"""Draws a subset of real videos by a seed, as VASA-1's tables have them (section 4.1).

Of each person some clips are drawn; each clip gives a portrait (its first frame), its sound, and a
line of a manifest of `vasa-jax batch` for every sample that is to be made of it.
"""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.media.files import PendingFolder
from vasa_jax.media.video import VideoWriter, frame_count, probe, read_video
from vasa_jax.score.pairing import person_of, videos_of
from vasa_jax.typing import FPS

REAL, PORTRAITS = "real", "portraits"
MANIFEST, PEOPLE = "manifest.csv", "people.csv"


class Draw(NamedTuple):
    """How much is drawn; the defaults are VASA-1's subset of VoxCeleb2."""

    people: int = 46
    clips: int = 10  # of each person
    samples: int = 3  # of each clip
    seconds: float | None = None  # clips are cut to this length, shorter ones left out
    seed: int = 0


def draw(folder: Path, how: Draw, people: dict[str, str] | None = None) -> dict[str, list[str]]:
    """Names of the drawn videos below a folder, by person.

    The draw depends on the names and the seed alone. A person with fewer clips than wanted is left
    out as long as there are enough others. Raises UserError where there are too few people.
    """
    by_person: dict[str, list[str]] = {}
    for name in sorted(videos_of(folder)):
        by_person.setdefault(person_of(name, people), []).append(name)
    rng = np.random.default_rng(how.seed)
    order = [sorted(by_person)[n] for n in rng.permutation(len(by_person))]
    order.sort(key=lambda who: len(by_person[who]) < how.clips)  # stable: full ones first
    if len(order) < how.people:
        raise UserError(
            f"{folder}: shows {len(order)} people, {how.people} are wanted; give more videos, a "
            "smaller --people, or --people-file where names do not tell who is seen"
        )
    drawn = {}
    for who in sorted(order[: how.people]):
        names = by_person[who]
        picked = np.random.default_rng((how.seed, *who.encode())).permutation(len(names))
        drawn[who] = sorted(names[n] for n in picked[: how.clips])
    return drawn


def write_protocol(
    folder: Path,
    output: Path,
    how: Draw,
    people: dict[str, str] | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> int:
    """Write real/, portraits/, manifest.csv and people.csv into a new folder; number of clips.

    The folder appears whole or not at all. Clips are written at 25 fps in H.264 (crf 12) with their
    sound, names flat, `/` replaced by `--`. Raises UserError as `draw` does, for a folder that is
    there, for clips without sound, and where no clip is long enough.
    """
    if Path(output).exists():
        raise UserError(f"{output}: is there already; give a new folder")
    paths = videos_of(folder)
    drawn = draw(folder, how, people)
    rows: list[tuple[str, str]] = []
    with PendingFolder(output, "protocol") as pending:
        place = pending.temporary
        (place / REAL).mkdir()
        (place / PORTRAITS).mkdir()
        for who, names in drawn.items():
            for name in names:
                flat = name.replace("/", "--")
                if _write_clip(paths[name], place, flat, how.seconds):
                    rows.append((flat, who))
                advance(1)
        if not rows:
            raise UserError(f"no clip of {folder} lasts {how.seconds:g} s")
        samples = [
            (f"{PORTRAITS}/{flat}.png", f"{REAL}/{flat}.mp4", f"{flat}-{seed}", seed)
            for flat, _ in rows
            for seed in range(how.samples)
        ]
        header = ("image", "audio", "name", "seed")
        (place / MANIFEST).write_text(_csv([header, *samples]), encoding="utf-8")
        (place / PEOPLE).write_text(_csv(rows), encoding="utf-8")
        pending.commit()
    return len(rows)


def _write_clip(path: Path, place: Path, name: str, seconds: float | None) -> bool:
    """Write a clip and its first frame; False where it is shorter than `seconds`."""
    info = probe(path)
    if not info.has_audio:
        raise UserError(f"{path}: has no sound; leave it out of the folder")
    if seconds is not None and info.seconds < seconds - 0.5 / FPS:
        return False
    width, height = (side // 2 * 2 for side in (info.width, info.height))
    limit = None if seconds is None else frame_count(seconds)
    video = place / REAL / f"{name}.mp4"
    with VideoWriter(video, width, height, audio_from=path, seconds=seconds, crf=12) as writer:
        for number, frame in enumerate(read_video(path)):
            if limit is not None and number >= limit:
                break
            if number == 0:
                image = cv2.imencode(".png", np.ascontiguousarray(frame[..., ::-1]))[1]
                (place / PORTRAITS / f"{name}.png").write_bytes(image.tobytes())
            writer.write(frame[None, :height, :width])
    return True


def _csv(rows: list) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
