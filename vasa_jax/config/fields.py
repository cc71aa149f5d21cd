"""Dataclass fields of configs, with the range that `--set` checks."""

from dataclasses import field
from typing import Any


def number(default: int, least: int) -> Any:
    """A field of a whole number that may be as low as `least`. Plain fields: at least 1, or at
    least 0 for floats."""
    return field(default=default, metadata={"least": least})
