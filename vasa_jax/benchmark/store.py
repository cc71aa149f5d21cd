"""The file of results: a JSON that grows row by row, whole after every one.

Rows are known by question, settings and environment, so that a run that was cut off goes on where
it was, and one file holds the rows of several devices.
"""

import json
from pathlib import Path
from typing import Any

from vasa_jax.benchmark.environment import fingerprint
from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole

FORMAT = 1


class Store:
    """The results in `path` (None: in memory only) as seen from one environment.

    Raises UserError for a file that cannot be read or written, or is none of ours.
    """

    def __init__(self, path: Path | None, facts: dict[str, Any]):
        self.path, self._name = path, fingerprint(facts)
        self._data: dict[str, Any] = {"format": FORMAT, "environments": {}, "rows": []}
        if path is not None and path.exists():
            self._data = _read(path)
        self._data["environments"][self._name] = facts
        if path is not None:
            self._write()  # a place that cannot be written is found out before any work

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of this environment, oldest first."""
        return [row for row in self._data["rows"] if row["environment"] == self._name]

    def find(self, question: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """The row that answers a question here, if it has been measured."""
        wanted = _key(question, settings)
        for row in self.rows:
            if _key(row["question"], row["settings"]) == wanted:
                return row
        return None

    def add(self, row: dict[str, Any]) -> None:
        """Put a row in the place of the one with its question and settings, and save."""
        row = {**row, "environment": self._name}
        old = self.find(row["question"], row["settings"])
        if old is not None:
            self._data["rows"].remove(old)
        self._data["rows"].append(row)
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        write_whole(self.path, "results", json.dumps(self._data, indent=1) + "\n")


def _key(question, settings):
    return question, json.dumps(settings, sort_keys=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: unreadable ({error}); give another -o file") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or "rows" not in data:
        raise UserError(f"{path}: holds no benchmark results of this version; give another -o file")
    return data
