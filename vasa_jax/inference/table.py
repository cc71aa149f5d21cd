"""CSV tables as spreadsheets and editors save them: any encoding, separator and quoting."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from vasa_jax.config.overrides import nearest
from vasa_jax.errors import UserError

__all__ = ["TableRow", "read_table"]

SEPARATORS = (",", ";", "\t", "|")
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),  # before UTF-16, whose mark its own begins with
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*[\r\n]', re.IGNORECASE)
"""Excel's line that names the separator."""


class TableRow(NamedTuple):
    """One row of a table."""

    line: int  # its last one in the file
    cells: dict[str, str]  # by column name, stripped; absent ones are ""
    error: str | None = None  # why the row cannot be read


def read_table(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    note: Callable[[str], None] | None = None,
) -> list[TableRow]:
    """The rows of a CSV file that have a cell; its first line names the columns.

    Read are UTF-8, UTF-16 and UTF-32 with their marks, UTF-16 without, else Windows-1252; commas,
    semicolons, tabs or bars as separators, whichever gives most of the known columns; column names
    in capitals; columns without a name as long as they are empty. A cell may hold any character
    but a line's end.

    note: receives what was assumed. Raises UserError for an unreadable file, a workbook, a missing
    required column, an unknown or repeated column, and a table without rows.
    """
    text = _text(Path(path), note)
    found = _SEP_LINE.match(text)
    separator = found[1] if found else _separator(text, (*required, *optional))
    lines = _parse(path, text, separator)[1 if found else 0 :]
    header = lines.pop(0)[1] if lines else []
    columns = _columns(path, [cell.strip() for cell in header], required, optional)
    rows = [_row(line, cells, columns) for line, cells in lines]
    if not rows:
        raise UserError(f"{path}: the manifest has no rows below its header")
    return rows


def _text(path: Path, note: Callable[[str], None] | None) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot read the manifest ({error.strerror or error}); check the path"
        ) from None
    if data.startswith(_WORKBOOKS):
        raise UserError(
            f"{path}: is a workbook of a spreadsheet program, not text; save it as CSV (UTF-8)"
        )
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None and b"\0" in data:
        # Half of the bytes of Latin text in UTF-16 are zeros: the odd ones, or the even ones.
        odd, even = data[1::2].count(0), data[::2].count(0)
        encoding = "utf-16-le" if odd > even else "utf-16-be"
        if max(odd, even) < len(data) / 4:
            raise UserError(f"{path}: is not a text file; give a CSV file")
    for name in (encoding,) if encoding else ("utf-8", "cp1252"):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        if name == "cp1252" and note is not None:
            note(
                f"{path}: is not UTF-8 and was read as Windows-1252; save it as UTF-8 if names "
                "come out wrong"
            )
        return text
    raise UserError(
        f"{path}: its text cannot be decoded (tried {encoding or 'UTF-8, Windows-1252'}"
        "); save it as UTF-8"
    )


def _separator(text: str, known: Sequence[str]) -> str:
    """The one that finds most known columns in the first line that is not empty."""
    first = next((line for line in text.splitlines() if line.strip()), "")

    def columns(separator: str) -> int:
        cells: list[str] = next(_reader(first, separator), [])
        return sum(cell.strip().casefold() in known for cell in cells)

    return max(SEPARATORS, key=columns)


def _reader(text: str, separator: str):
    # Not by str.splitlines: it also ends lines at U+2028, U+0085 and others that cells may hold.
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)


def _parse(path: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    """(line, cells) of every record that is not empty."""
    reader = _reader(text, separator)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UserError(
            f"{path}: line {reader.line_num} cannot be read ({error}); check its quotes"
        ) from None


def _columns(
    path: Path, header: list[str], required: Sequence[str], optional: Sequence[str]
) -> list[str]:
    columns, known = [cell.casefold() for cell in header], (*required, *optional)
    missing = [name for name in required if name not in columns]
    if missing:
        raise UserError(
            f"{path}: the manifest needs the columns {' and '.join(required)} in its "
            f"first line, {missing[0]!r} is missing (columns may be separated by "
            "comma, semicolon or tab)"
        )
    for cell, column in zip(header, columns, strict=True):
        if column and column not in known:
            raise UserError(
                f"{path}: unknown column {cell!r}{nearest(column, optional)} "
                f"(known: {', '.join(known)})"
            )
        if column and columns.count(column) > 1:
            raise UserError(f"{path}: the column {column!r} stands twice in the first line")
    return columns


def _row(line: int, cells: list[str], columns: list[str]) -> TableRow:
    error = None
    names = [*columns, *[""] * (len(cells) - len(columns))]
    broken = any("\n" in cell or "\r" in cell for cell in cells)
    cells = [cell.strip() for cell in cells]
    if broken:
        error = "a cell goes on over the end of its line; is a double quote not closed?"
    elif stray := [c for c, name in zip(cells, names, strict=False) if c and not name]:
        error = (
            f"the cell {stray[0]!r} stands under no column; put cells that hold the "
            "separator between double quotes"
        )
    found = dict(zip(names, cells, strict=False))
    return TableRow(line, {name: found.get(name, "") for name in columns if name}, error)
