"""The manifest of a batch run (which portraits with which audio), and records of finished rows."""

import hashlib
import json
import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple

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
from vasa_jax.inference.table import read_table
from vasa_jax.media.files import write_whole
from vasa_jax.media.places import check_ours, file_key, short_path, tells_case

REQUIRED = ("image", "audio")
OPTIONAL = ("name", "seed", "gaze", "distance", "emotion", "face", "crop")
RECORD_ENDING = ".json"
FINGERPRINT_DIGITS = 2 * hashlib.sha256().digest_size


class Row(NamedTuple):
    """A line of the manifest: its request, or the reason why there is none."""

    line: int
    request: Request | None
    error: str | None


def read_manifest(path: Path, folder: Path, note: Callable[[str], None] | None = None) -> list[Row]:
    """Rows of a CSV file with the columns image, audio and any of `OPTIONAL`; see `read_table`.

    Files are looked for beside the manifest, then from the current folder. Videos go to
    `folder/NAME.mp4`, NAME being the column `name` or IMAGE--AUDIO, and their records to
    `folder/NAME.json`; of a NAME too long for a file a part is left, and a hash. A bad row becomes
    a Row with an error, and so does one that would overwrite any row's image or audio. note:
    receives what was assumed. A bad file raises UserError as `read_table` does.
    """
    path, names = Path(path), _Names(tells_case(folder))
    rows: list[Row] = []
    for line, cells, error in read_table(path, REQUIRED, OPTIONAL, note):
        try:
            if error is not None:
                raise UserError(error)
            request, name = _request(cells, path.parent, folder, names, line)
        except UserError as wrong:
            rows.append(Row(line, None, str(wrong)))
            continue
        if note is not None and request.output.stem != name:
            note(f"row {line}: the name is too long for a file: cut to {request.output.name}")
        rows.append(Row(line, request, None))
    return _keep_inputs(path, rows)


def _keep_inputs(manifest: Path, rows: list[Row]) -> list[Row]:
    """The rows, with an error for those that would overwrite an input of any row."""
    inputs: dict[Hashable, str] = {file_key(manifest): "the manifest itself"}
    for row in rows:
        if row.request is not None:
            for name, file in (("image", row.request.image), ("audio", row.request.audio)):
                inputs.setdefault(file_key(file), f"the {name} of row {row.line}, {file}")
    kept = []
    for row in rows:
        for output in (row.request.output, record_path(row.request)) if row.request else ():
            if (found := inputs.get(file_key(output))) is not None:
                reason = (
                    f"{output} would overwrite {found}; give the row or the folder another name"
                )
                row = Row(row.line, None, reason)
                break
        kept.append(row)
    return kept


def _request(
    cells: dict, beside: Path, folder: Path, names: "_Names", line: int
) -> tuple[Request, str]:
    """The request of a row, and the name it asked for."""
    for column in REQUIRED:
        if not cells.get(column):
            raise UserError(f"the column {column!r} is empty")
    image, audio = (_find(cells[c], beside) for c in REQUIRED)
    name = cells.get("name") or f"{image.stem}--{audio.stem}"
    if Path(name).name != name or name in (".", "..") or "\0" in name:
        raise UserError(f"name {name!r} must be a plain file name")
    if not names.take(name):
        if cells.get("name"):
            raise UserError(
                f"name {name!r} stands in two rows: names must differ"
                f"{'' if names.tell_case else ', on this disk not in capitals alone'}"
            )
        name = f"{name}--{line}"
        names.take(name)
    request = Request(
        image=image,
        audio=audio,
        output=(folder / short_path(name, RECORD_ENDING)).with_suffix(".mp4"),
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
    return request, name


class _Names:
    """The names that rows use. tell_case: whether the disk distinguishes capitals."""

    def __init__(self, tell_case: bool):
        self.tell_case = tell_case
        self._taken: set[str] = set()

    def take(self, name: str) -> bool:
        """Take a name; whether it was free."""
        key = name if self.tell_case else name.casefold()
        free = key not in self._taken
        self._taken.add(key)
        return free


def _find(text: str, beside: Path) -> Path:
    path = Path(os.path.expanduser(text))  # unlike Path.expanduser, leaves "~nobody" as it is
    return beside / path if not path.is_absolute() and (beside / path).exists() else path


def _whole(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{what} {text!r} is not a whole number") from None


def fingerprint(request: Request, details: dict) -> str:
    """Identifies a row's result: the bytes of its inputs, its controls, the model's details."""
    digest = hashlib.sha256(json.dumps([describe(request), details], sort_keys=True).encode())
    for path in (request.image, request.audio):
        try:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    return digest.hexdigest()


def record_path(request: Request) -> Path:
    """The place of a row's record: beside its video."""
    return request.output.with_suffix(RECORD_ENDING)


def is_finished(request: Request, mark: str) -> bool:
    """Whether an earlier run made this very video."""
    try:
        return request.output.is_file() and _read_record(request)["fingerprint"] == mark
    except (OSError, ValueError, LookupError):
        return False


def check_place(request: Request, details: dict) -> None:
    """Raise UserError where the row's video or record would replace a file that no batch wrote.

    details: the video's metadata. A video without a record is replaced if it has the same: a run
    may have been killed between writing the two.
    """
    wanted = json.loads(json.dumps(details))

    def known(video: Path) -> bool:
        try:
            return bool(_read_record(request))
        except (OSError, ValueError, LookupError):
            return _made_as(video) == wanted

    record = "record of `vasa-jax batch`"
    check_ours(record_path(request), record, lambda _: _read_record(request))
    check_ours(request.output, "video that `vasa-jax batch` made of this row", known)


def _read_record(request: Request) -> dict:
    """Raises OSError, ValueError or LookupError where there is none of ours."""
    record = json.loads(record_path(request).read_text(encoding="utf-8"))
    if not isinstance(record, dict) or len(str(record["fingerprint"])) != FINGERPRINT_DIGITS:
        raise ValueError("not a record of a batch")
    return record


def _made_as(video: Path) -> dict:
    """The metadata of a video of ours; any exception means that it is none."""
    import av

    with av.open(str(video.absolute())) as container:
        return json.loads(container.metadata["comment"])


def record_finished(request: Request, mark: str, details: dict) -> None:
    """Write the record by which a rerun skips this row."""
    content = json.dumps({"fingerprint": mark, **details}, indent=1) + "\n"
    write_whole(record_path(request), "record", content)
