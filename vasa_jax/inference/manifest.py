"""The table of a batch run: which portraits with which clips, and what is already done."""

import csv
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from vasa_jax.config_text import nearest
from vasa_jax.errors import UserError
from vasa_jax.inference.request import (
    Controls,
    Picture,
    Request,
    describe,
    parse_distance,
    parse_emotion,
    parse_gaze,
)

REQUIRED = ("image", "audio")
OPTIONAL = ("name", "seed", "gaze", "distance", "emotion", "face", "crop")


class Row(NamedTuple):
    """A line of the manifest: its request, or the reason why there is none."""

    line: int
    request: Request | None
    error: str | None


def read_manifest(path: Path, folder: Path) -> list[Row]:
    """Rows of a CSV file with the columns image, audio and any of `OPTIONAL`.

    Files are looked for beside the manifest, then from the current folder. Videos go to
    `folder/NAME.mp4`, NAME being the column `name` or IMAGE--AUDIO. A bad row becomes a Row with
    an error; a bad file (missing, no such columns, no rows) raises UserError.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read the manifest ({error})") from None
    reader = csv.DictReader(text.splitlines())
    columns = [c.strip() for c in reader.fieldnames or []]
    missing = [c for c in REQUIRED if c not in columns]
    if missing:
        raise UserError(f"{path}: the manifest needs the columns image and audio in its first "
                        f"line, {missing[0]!r} is missing")  # fmt: skip
    for column in columns:
        if column not in REQUIRED + OPTIONAL:
            raise UserError(f"{path}: unknown column {column!r}{nearest(column, OPTIONAL)} "
                            f"(known: {', '.join(REQUIRED + OPTIONAL)})")  # fmt: skip
    rows: list[Row] = []
    taken: set[str] = set()
    for values in reader:
        cells = {k.strip(): (v or "").strip() for k, v in values.items() if isinstance(k, str)}
        line = reader.line_num
        if not any(cells.values()):
            continue
        try:
            rows.append(Row(line, _request(cells, Path(path).parent, folder, taken, line), None))
        except UserError as error:
            rows.append(Row(line, None, str(error)))
    if not rows:
        raise UserError(f"{path}: the manifest has no rows below its header")
    return rows


def _request(cells: dict, beside: Path, folder: Path, taken: set[str], line: int) -> Request:
    for column in REQUIRED:
        if not cells.get(column):
            raise UserError(f"the column {column!r} is empty")
    image, audio = (_find(cells[c], beside) for c in REQUIRED)
    name = cells.get("name") or f"{image.stem}--{audio.stem}"
    if Path(name).name != name or name in (".", ".."):
        raise UserError(f"name {name!r} must be a plain file name")
    if name in taken:
        if cells.get("name"):
            raise UserError(f"name {name!r} stands in two rows: names must differ")
        name = f"{name}--{line}"
    taken.add(name)
    return Request(
        image=image,
        audio=audio,
        output=folder / f"{name}.mp4",
        seed=_whole(cells.get("seed") or "0", "seed"),
        controls=Controls(
            gaze=parse_gaze(cells.get("gaze") or "0,0"),
            distance=parse_distance(cells.get("distance") or "1.0"),
            emotion=parse_emotion(cells.get("emotion") or "none"),
        ),
        picture=Picture(
            crop=cells.get("crop") or "auto",
            face=_whole(cells["face"], "face") if cells.get("face") else None,
        ),
    )


def _find(text: str, beside: Path) -> Path:
    path = Path(text).expanduser()
    return beside / path if not path.is_absolute() and (beside / path).exists() else path


def _whole(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{what} {text!r} is not a whole number") from None


def fingerprint(request: Request, details: dict) -> str:
    """Identifies a row's result: the bytes of its inputs, its wishes, the model's details."""
    digest = hashlib.sha256(json.dumps([describe(request), details], sort_keys=True).encode())
    for path in (request.image, request.audio):
        try:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    return digest.hexdigest()


def _record(request: Request) -> Path:
    return request.output.with_suffix(".json")


def is_finished(request: Request, mark: str) -> bool:
    """Whether an earlier run made this very video."""
    try:
        record = json.loads(_record(request).read_text())
        return request.output.is_file() and record.get("fingerprint") == mark
    except (OSError, ValueError, AttributeError):
        return False


def record_finished(request: Request, mark: str, details: dict) -> None:
    """Leave the record by which a rerun knows that this row is done."""
    path = _record(request)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps({"fingerprint": mark, **details}, indent=1) + "\n")
    beside.replace(path)
