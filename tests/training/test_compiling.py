"""What a run says while it compiles."""

import time

import jax
import jax.numpy as jnp
import pytest
from toys import toy_task

from vasa_jax.training import compiling as module
from vasa_jax.training.compiling import compiling, equations, guess_of
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.loop import train


class Notes:
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)

    def step(self, step, total, values):
        self.lines.append(f"step {step}")

    def close(self): ...


def test_it_says_what_and_that_it_goes_on(monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.05)
    notes = Notes()
    with compiling(notes, "a program", "may take a minute"):
        time.sleep(0.2)
    first, *middle, last = notes.lines
    assert first == "compiling a program: may take a minute"
    assert len(middle) >= 2
    assert all(line.startswith("still compiling a program, 0:0") for line in middle)
    assert last.startswith("compiled a program in 0:0")
    count = len(notes.lines)
    time.sleep(0.1)
    assert len(notes.lines) == count


def test_what_is_quick_is_not_mentioned():
    notes = Notes()
    with compiling(notes, "a program"):
        pass
    assert notes.lines == []


def test_a_failure_ends_the_signs_of_life(monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.02)
    notes = Notes()
    with pytest.raises(ValueError, match="broken"), compiling(notes, "a program"):
        raise ValueError("broken")
    count = len(notes.lines)
    time.sleep(0.1)
    assert len(notes.lines) == count


def test_programs_are_measured_with_their_inner_ones():
    def inner(x):
        return jnp.sin(x) + 1

    def outer(x):
        return jax.lax.scan(lambda c, _: (jax.jit(inner)(c), None), x, None, length=3)[0]

    assert equations(jax.make_jaxpr(inner)(1.0).jaxpr) == 2
    found = jax.make_jaxpr(outer)(1.0)
    assert equations(found) == equations(found.jaxpr) == 4  # scan, jit, sin, add


def test_longer_programs_are_said_to_take_longer(monkeypatch):
    monkeypatch.setattr(module, "equations", lambda jaxpr: jaxpr)
    assert "may take a minute," in guess_of(1_000)
    assert "about 5 minutes" in guess_of(round(5 * 60 / module.SECONDS_AN_EQUATION))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "some minutes" in guess_of(10)


def test_training_tells_before_its_first_step(tmp_path):
    task, notes = toy_task({"sample_every": 1}), Notes()
    train(task, tmp_path, FakeBatches(task.batch), steps=2, progress=notes)
    assert notes.lines[0].startswith("compiling the training step of stage 'face': may take")
    assert notes.lines.index("step 1") > 0
    assert sum("compiling" in line for line in notes.lines) == 1
