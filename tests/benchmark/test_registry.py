"""Benchmarks by name, and their cases."""

from vasa_jax.benchmark.face_benchmarks import decode_cases
from vasa_jax.benchmark.motion_benchmarks import sampler_cases
from vasa_jax.benchmark.registry import BENCHMARKS
from vasa_jax.benchmark.subject import BenchmarkModel, Options
from vasa_jax.benchmark.training_benchmarks import FACE_TRIES, train_face_cases
from vasa_jax.commands.benchmark import BENCHMARK_NAMES
from vasa_jax.config import get_config


def test_the_command_names_every_benchmark():
    assert tuple(BENCHMARKS) == BENCHMARK_NAMES


def test_which_rows_a_full_size_model_gets():
    model = BenchmarkModel(get_config("vasa1"))
    sizes = [(c.settings["size"], c.settings["batch"]) for c in decode_cases(model)]
    assert sizes == [(s, b) for s in (512, 256) for b in (1, 2, 4, 8, 16, 32)]
    found = [
        tuple(c.settings[k] for k in ("steps", "branches", "batch")) for c in sampler_cases(model)
    ]
    assert found[0] == (50, 3, 1)
    assert {f[0] for f in found} == {10, 25, 50}
    assert {f[1] for f in found} == {1, 2, 3}
    assert {f[2] for f in found} == {1, 4, 16, 64}
    assert len(found) == len(set(found)) == 8
    everything = BenchmarkModel(get_config("vasa1"), options=Options(full=True))
    assert len(list(sampler_cases(everything))) == 36
    tries = [(c.settings["batch"], c.settings["remat"]) for c in train_face_cases(model)]
    assert tries == list(FACE_TRIES)
