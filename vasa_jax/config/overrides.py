"""Configs as text: typed `a.b=c` overrides with hints for typos, and plain dictionaries."""

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterable
from typing import Any

from vasa_jax.config.renamed import new_name
from vasa_jax.errors import UserError


def nearest(name: str, known: Iterable[str]) -> str:
    """A ', did you mean X?' hint for a mistyped name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def apply_overrides(config: Any, overrides: Iterable[str]) -> Any:
    """Apply `section.key=value` strings; each is checked against its type, later ones win.

    What must fit together is checked once, after all of them: their order does not matter.
    """
    changes: dict[str, Any] = {}
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise UserError(f"--set {text!r} is not of the form section.key=value")
        key = new_name(key.strip())
        _note(changes, config, key.split("."), value.strip(), key)
    return _replaced(config, changes)


def _note(changes: dict[str, Any], node, path: list[str], value: str, full: str) -> None:
    """Add one value, read as its key's type, to the nested changes of a section."""
    names = [f.name for f in dataclasses.fields(node)]
    head, rest = path[0], path[1:]
    if full == "name":
        raise UserError("--set name: a config's name cannot be changed; choose it by --config NAME")
    if head not in names:
        raise UserError(
            f"--set {full}: no key {head!r} in {type(node).__name__}{nearest(head, names)}"
        )
    current = getattr(node, head)
    if dataclasses.is_dataclass(current):
        if not rest:
            raise UserError(
                f"--set {full}: names a whole section; name one key inside it, "
                f"such as {full}.{dataclasses.fields(current)[0].name}=…"
            )
        _note(changes.setdefault(head, {}), current, rest, value, full)
        return
    if rest:
        raise UserError(f"--set {full}: {head!r} is a value and has no key {rest[0]!r}")
    changes[head] = _parse(value, typing.get_type_hints(type(node))[head], full)
    field = next(f for f in dataclasses.fields(node) if f.name == head)
    _check_numbers(changes[head], field.metadata.get("least", 1), full)


def _replaced(node, changes: dict[str, Any]):
    new = {
        name: _replaced(getattr(node, name), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return dataclasses.replace(node, **new)


def _check_numbers(value, least_whole: int, key: str) -> None:
    """Whole numbers are at least `least_whole`, weights and rates are not negative."""
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        least = least_whole if isinstance(number, int) else 0
        if number < least:
            raise UserError(f"--set {key}={number} must be at least {least}")


def _parse(text: str, kind, key: str):
    """Read `text` as `kind`: bool, int, float, str, a tuple of one of them, or X | None."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if text.lower() == "none" and type(None) in args:
            return None
        return _parse(text, next(a for a in args if a is not type(None)), key)
    if origin is tuple:
        items = [t for t in text.strip("()[] ").split(",") if t.strip()]
        if not items:
            raise UserError(f"--set {key}: must not be empty")
        if args[-1] is not Ellipsis and len(items) != len(args):
            raise UserError(f"--set {key}={text}: expected {len(args)} comma-separated values")
        return tuple(_parse(t.strip(), args[0], key) for t in items)
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if kind is int:
            return int(text)
        if kind is float:
            number = float(text)
            if number != number or number in (float("inf"), float("-inf")):
                raise ValueError
            return number
    except (KeyError, ValueError):
        raise UserError(f"--set {key}={text}: {text!r} is not {_KINDS[kind]}") from None
    if kind is str:
        return text
    raise UserError(f"--set {key}: this key cannot be set from the command line")


_KINDS = {bool: "true or false", int: "a whole number", float: "a finite number"}


def to_dict(config: Any) -> dict:
    """The config as plain JSON-ready values."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def build(kind: type, data: dict, where: str) -> Any:
    """The dataclass `kind` from `to_dict`'s values; keys it lacks raise UserError."""
    hints = typing.get_type_hints(kind)
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected a JSON object")
    unknown = set(data) - set(hints)
    if unknown:
        raise UserError(
            f"{where}: unknown key {sorted(unknown)[0]!r}, perhaps written by another "
            "version of vasa-jax"
        )
    values = {}
    for name, value in data.items():
        if dataclasses.is_dataclass(hints[name]):
            value = build(hints[name], value, f"{where}.{name}")
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    return kind(**values)
