"""Messages while a program compiles: what it is, an estimate of the time, regular signs of life."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from vasa_jax.training.progress import Progress

EVERY = 30.0
"""Seconds between signs of life."""
SECONDS_AN_EQUATION = 0.003
"""Of one core, for XLA's CPU compiler."""


@contextmanager
def compiling(progress: Progress, what: str, guess: str = "") -> Iterator[None]:
    """Report a compilation: `guess` before it, a line every `EVERY` seconds, how long it took.

    guess: how long it may take; "" says nothing before the first sign of life.
    """
    start, done = time.monotonic(), threading.Event()

    def passed() -> str:
        minutes, seconds = divmod(round(time.monotonic() - start), 60)
        return f"{minutes}:{seconds:02d}"

    def live() -> None:
        while not done.wait(EVERY):
            progress.note(f"still compiling {what}, {passed()} so far")

    if guess:
        progress.note(f"compiling {what}: {guess}")
    thread = threading.Thread(target=live, name="vasa-jax-compiling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if time.monotonic() - start > EVERY:
        progress.note(f"compiled {what} in {passed()}")


def equations(jaxpr: Any) -> int:
    """How many primitive operations a traced program has, those of inner programs included."""
    count = 0
    for equation in jaxpr.eqns:
        count += 1
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                count += equations(inner) if hasattr(inner, "eqns") else 0
    return count


def guess_of(jaxpr: Any) -> str:
    """In words, how long a program may take to compile where the cache does not have it."""
    if jax.default_backend() != "cpu":
        return "may take some minutes, and seconds once it is in the cache"
    minutes = round(equations(jaxpr) * SECONDS_AN_EQUATION / 60)
    about = f"about {minutes} minutes" if minutes > 1 else "a minute"
    return f"may take {about}, longer on a busy machine, and seconds once it is in the cache"
