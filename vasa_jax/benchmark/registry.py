"""All benchmarks by name, in the order of their tables."""

from collections.abc import Callable, Iterator

from vasa_jax.benchmark import (
    batch_benchmarks,
    clip_benchmarks,
    face_benchmarks,
    motion_benchmarks,
    training_benchmarks,
)
from vasa_jax.benchmark.case import Case
from vasa_jax.benchmark.subject import BenchmarkModel

BENCHMARKS: dict[str, Callable[[BenchmarkModel], Iterator[Case]]] = {
    "decode": face_benchmarks.decode_cases,
    "online": clip_benchmarks.online_cases,
    "sampler": motion_benchmarks.sampler_cases,
    "end-to-end": clip_benchmarks.end_to_end_cases,
    "batch": batch_benchmarks.batch_cases,
    "encode": face_benchmarks.encode_cases,
    "audio": motion_benchmarks.audio_cases,
    "train-motion": training_benchmarks.train_motion_cases,
    "train-face": training_benchmarks.train_face_cases,
    "loader": training_benchmarks.loader_cases,
}
