"""`train-face`, `train-motion` and `loader`: examples a second of training and of its input."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.subject import BenchmarkModel, random_params
from vasa_jax.benchmark.work import Work, count_jaxpr
from vasa_jax.config import Config
from vasa_jax.config.losses import CrossIdentityLoss, FaceFeatureLoss, PerceptualLoss
from vasa_jax.errors import UserError
from vasa_jax.perception.dlib_identity import DlibIdentity
from vasa_jax.perception.vgg import VGG
from vasa_jax.training.face_trainer import FaceTrainer, face_batch_struct, face_trainer
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.mesh import single_device
from vasa_jax.training.motion_trainer import MotionTrainer, motion_trainer
from vasa_jax.training.program import build_program, init_state, put_batch

BatchAndRemat = tuple[int, str]
# What may fit the memory of one accelerator, smallest first.
FACE_TRIES: tuple[BatchAndRemat, ...]
FACE_TRIES = ((1, "none"), (2, "none"), (4, "dots"), (8, "full"), (16, "full"))
LOADER_BATCHES = 16  # one block of the loader, which reads its records before the first batch


def train_face_cases(model: BenchmarkModel) -> Iterator[Case]:
    """One optimiser step of stage 1 with all losses of the config."""
    tries = FACE_TRIES
    if model.options.batches:
        tries = tuple((batch, model.config.train_face.remat) for batch in model.options.batches)
    elif model.config.name == "debug":
        tries = ((model.config.train_face.batch, "none"),)
    yield from _steps(model, "face", tries)


def train_motion_cases(model: BenchmarkModel) -> Iterator[Case]:
    """One optimiser step of stage 2."""
    batches = model.options.batches or (model.config.train_motion.batch,)
    yield from _steps(model, "motion", [(b, model.config.train_motion.remat) for b in batches])


def _steps(model: BenchmarkModel, stage: str, tries: Iterable[BatchAndRemat]) -> Iterator[Case]:
    for batch, remat in tries:
        changes = (f"train_{stage}.batch={batch}", f"train_{stage}.remat={remat}")
        config = model.change(f"train_{stage}.accumulate=1", *changes)
        settings = {**model.settings, "batch": batch, "remat": remat}
        yield Case(f"train-{stage}", settings, "examples", partial(_step, config, stage))


def training_task(
    config: Config, stage: str, *, frozen: bool = True
) -> FaceTrainer | MotionTrainer:
    """The task of a stage with the shapes of its losses' frozen networks (VGG-19, dlib's).

    frozen=False leaves out the losses of stage 1 that need them.
    """
    if stage == "motion":
        return motion_trainer(config)
    losses, shapes = config.face_losses, {}
    needs_vgg = losses.perceptual.weight or losses.consistency.perceptual
    if not frozen:
        losses = replace(
            losses,
            perceptual=PerceptualLoss(weight=0.0),
            face_features=FaceFeatureLoss(weight=0.0),
            cross_identity=CrossIdentityLoss(weight=0.0),
            consistency=replace(losses.consistency, perceptual=0.0),
        )
        config, needs_vgg = replace(config, face_losses=losses), False
    key = jax.random.key(0)
    if needs_vgg:
        image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
        shapes["vgg"] = jax.eval_shape(VGG().init, key, image)["params"]
    if losses.face_features.weight or losses.cross_identity.weight:
        chip = jax.ShapeDtypeStruct((1, 150, 150, 3), np.float32)
        shapes["identity"] = jax.eval_shape(DlibIdentity().init, key, chip)["params"]
    fields = ("source_points", "driver_points", "source_mask", "driver_mask")
    batch = face_batch_struct(config, config.train_face.batch, fields)
    return face_trainer(config, shapes, batch=batch)


def _model_work(config: Config, stage: str) -> Work:
    """Work of one step without what remat recomputes: the model FLOPs of MFU."""
    plain = replace(getattr(config, f"train_{stage}"), remat="none")
    task = training_task(replace(config, **{f"train_{stage}": plain}), stage)
    program = build_program(task, single_device())
    return count_jaxpr(program.jitted.trace(program.abstract_state, task.frozen, task.batch).jaxpr)


def _step(config: Config, stage: str) -> Ready:
    abstract = training_task(config, stage)
    # Stage 2 has no frozen networks.
    frozen = random_params(abstract.frozen) if stage == "face" else abstract.frozen
    task = replace(abstract, frozen=frozen)
    program = build_program(task, single_device())
    state = init_state(task, program)
    frozen = jax.device_put(task.frozen, program.frozen)
    batch = put_batch(task, program, next(FakeBatches(task.batch)))
    begun = time.perf_counter()
    traced = program.jitted.trace(state, frozen, batch)
    compiled = traced.lower().compile()
    compile_s = time.perf_counter() - begun
    done = count_jaxpr(traced.jaxpr)
    recomputed = getattr(config, f"train_{stage}").remat != "none"
    work = _model_work(config, stage) if recomputed else done
    held = {"state": state}
    del state  # donated by the first step

    def run():
        held["state"], metrics, _ = compiled(held["state"], frozen, batch)
        jax.block_until_ready((held["state"], metrics))

    figures = lambda: {"recomputed_share": done.flops / work.flops - 1}  # noqa: E731
    return Ready(run, task.train.batch, compile_s, work, compiled, figures)


def loader_cases(model: BenchmarkModel) -> Iterator[Case]:
    """Batches of stage 1 from a dataset, decoded and augmented on the host."""
    for batch in model.options.batches or (model.config.train_face.batch,):
        name = None if model.options.data is None else model.options.data.name
        settings = {**model.settings, "batch": batch, "data": name}
        yield Case("loader", settings, "examples", partial(_loader, model, batch))


def _loader(model: BenchmarkModel, batch: int) -> Ready:
    if model.options.data is None or model.options.open_loader is None:
        raise UserError("the loader needs a dataset: --data DIR")
    begun = time.perf_counter()
    stream = model.options.open_loader(model.options.data, model.config, batch)
    next(stream)
    started = time.perf_counter() - begun

    def run():
        for _ in range(LOADER_BATCHES):
            next(stream)

    return Ready(
        run,
        LOADER_BATCHES * batch,
        started,
        figures=getattr(stream, "close", None) and (lambda: _close(stream)),
    )


def _close(stream: Any) -> dict[str, Any]:
    stream.close()
    return {}
