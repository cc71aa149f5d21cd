"""The questions by name, in the order of what a user wants to know first."""

from collections.abc import Callable, Iterator

from vasa_jax.benchmark import (
    batch_questions,
    clip_questions,
    face_questions,
    motion_questions,
    training_questions,
)
from vasa_jax.benchmark.case import Case
from vasa_jax.benchmark.lab import Lab

QUESTIONS: dict[str, Callable[[Lab], Iterator[Case]]] = {
    "decode": face_questions.decode_cases,
    "online": clip_questions.online_cases,
    "sampler": motion_questions.sampler_cases,
    "end-to-end": clip_questions.end_to_end_cases,
    "batch": batch_questions.batch_cases,
    "encode": face_questions.encode_cases,
    "audio": motion_questions.audio_cases,
    "train-motion": training_questions.train_motion_cases,
    "train-face": training_questions.train_face_cases,
    "loader": training_questions.loader_cases,
}
