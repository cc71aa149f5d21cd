"""What some tests need besides the development install: skips that name it, and what brings it.

A skip's reason reads "needs WHAT; bring it: COMMAND". The end of a run lists these commands.
"""

import importlib
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from types import ModuleType

import pytest

from vasa_jax import zoo
from vasa_jax.errors import UserError

GL_PACKAGES = "libegl1 libegl-mesa0 libgl1-mesa-dri"
_REASON = re.compile(r"needs (?P<what>.*); bring it: (?P<command>.*)")
_GET, _EXTRA = "vasa-jax weights get ", "pip install -e "


def _reason(what: str, command: str) -> str:
    return f"needs {what}; bring it: {command}"


def _missing(names: Iterable[str]) -> str | None:
    names = [name for name in names if not zoo.is_cached(name)]
    return _reason("weights", _GET + " ".join(names)) if names else None


def weights(*names: str) -> pytest.MarkDecorator:
    """A mark for tests that read these weights of the zoo; tests download nothing."""
    reason = _missing(names)
    return pytest.mark.skipif(reason is not None, reason=reason or "")


def require_weights(*names: str) -> None:
    """As `weights`, from within a fixture or a test."""
    if (reason := _missing(names)) is not None:
        pytest.skip(reason)


@cache
def _gl_error() -> str | None:
    from vasa_jax.data_pipeline.synthetic.drawing.scene import Scene

    try:
        Scene(64).close()
    except UserError as error:
        return str(error)
    return None


def require_gl() -> None:
    """Skip where no OpenGL context can be made without a screen."""
    if _gl_error() is not None:
        pytest.skip(_reason("OpenGL (EGL)", f"sudo apt-get install {GL_PACKAGES}"))


def require_module(name: str, extra: str) -> ModuleType:
    """An optional dependency's module, or a skip that names the extra that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.skip(_reason(f"the extra `{extra}`", f"{_EXTRA}'.[{extra}]'"))


def summary(reasons: Iterable[str]) -> list[str]:
    """Lines on skipped tests by what they lack, most first, and the commands that bring it."""
    counts, commands, names, extras = Counter(), [], set(), set()
    for reason in reasons:
        found = _REASON.search(reason)
        if found is None:
            counts[reason.removeprefix("Skipped: ")] += 1
            continue
        what, command = found["what"], found["command"]
        if command.startswith(_GET):
            lacking = command.removeprefix(_GET).split()
            names |= set(lacking)
            what = f"weights {', '.join(lacking)}"
        elif command.startswith(_EXTRA):
            extras.add(command.removeprefix(_EXTRA).strip("'.[]"))
        elif command not in commands:
            commands.append(command)
        counts[what] += 1
    if extras:
        commands.append(f".venv/bin/{_EXTRA}'.[{','.join(sorted(extras))}]'")
    if names:
        commands.append(f".venv/bin/{_GET}{' '.join(sorted(names))}")
    lines = [f"{count:5} skipped: {what}" for what, count in counts.most_common()]
    return lines + (["They run after:", *(f"    {line}" for line in commands)] if commands else [])
