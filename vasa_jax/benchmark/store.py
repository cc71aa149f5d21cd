"""Results in a JSON file, replaced atomically after every row.

Rows are identified by benchmark, settings and environment, so that an interrupted run can resume
and one file can hold the rows of several devices.
"""

import json
from pathlib import Path
from typing import Any

from vasa_jax.benchmark.environment import code_version, fingerprint
from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole

FORMAT = 1


class Store:
    """The results in `path` (None: in memory only) of one environment.

    Raises UserError for a file that cannot be read or written, or holds anything else.
    """

    def __init__(self, path: Path | None, facts: dict[str, Any]):
        self.path, self._name = path, fingerprint(facts)
        self._data: dict[str, Any] = {"format": FORMAT, "environments": {}, "rows": []}
        if path is not None and path.exists():
            self._data = _read(path)
        self._data["environments"][self._name] = facts
        if path is not None:
            self._write()  # fails before any measurement if the file cannot be written

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of this environment, oldest first."""
        return [row for row in self._data["rows"] if row["environment"] == self._name]

    def find(self, benchmark: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """The row of a benchmark with these settings, if there is one."""
        wanted = _key(benchmark, settings)
        for row in self.rows:
            if _key(row["question"], row["settings"]) == wanted:
                return row
        return None

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, replacing one of the same benchmark and settings, and save."""
        row = {**row, "environment": self._name, **code_version()}
        old = self.find(row["question"], row["settings"])
        if old is not None:
            self._data["rows"].remove(old)
        self._data["rows"].append(row)
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        write_whole(self.path, "results", json.dumps(self._data, indent=1) + "\n")


def _key(benchmark: str, settings: dict[str, Any]) -> tuple[str, str]:
    return benchmark, json.dumps(settings, sort_keys=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: unreadable ({error}); give another -o file") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or "rows" not in data:
        raise UserError(f"{path}: holds no benchmark results of this version; give another -o file")
    return data
