"""The training of the demo weights: see scripts/train_demo.sh, which runs this.

The order is that of a gate. First the encoders alone: head pose on whole pictures, dynamics on
crops, until they read people never seen; then the generator on frozen codes, at growing sizes, on
exact swaps; on an accelerator last everything together, with VASA-1's own losses and the
discriminator. Every slice ends with the gate's figures on held-out people (`gate.jsonl`).
"""

import argparse
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Every loss off but what a stage names.
SILENT = (
    "pixel.weight=0", "perceptual.weight=0", "self_drive.weight=0", "face_features.weight=0",
    "eyes.weight=0", "mouth.weight=0", "adversarial.weight=0", "adversarial.feature_matching=0",
    "contrast.weight=0", "consistency.weight=0", "cross_identity.weight=0", "masked=false",
)  # fmt: skip
POSE, LABELS = ("pose.weight=2",), ("arkit.weight=1", "gaze.weight=1")
# The exact renders, the mouth and the eyes counted five times.
PIXELS = (
    "pixel.weight=1", "eyes.weight=2", "mouth.weight=3", "eyes.perceptual=0", "mouth.perceptual=0",
    "exact.weight=1", "exact.perceptual=0", "exact.regions=5",
)  # fmt: skip
FEATURES = ("perceptual.weight=1", "perceptual.scales=2")
EVERYTHING = (
    "self_drive.weight=0.5", "contrast.weight=0.1", "consistency.weight=0.5",
    "consistency.start=0", "cross_identity.weight=0.5", "cross_identity.start=0",
    "adversarial.weight=0.1", "adversarial.feature_matching=4", "adversarial.scales=1",
    "adversarial.widths=32,64,128,256",
)  # fmt: skip
BEFORE = "before.safetensors"
"""In the small copy: what earlier stages trained and the state of this one does not hold."""
FROZEN = ("face.freeze_pose=true", "face.freeze_dyn=true")


CONFIG = "demo"
CORPUS = {"cpu": (330, 600, 128), "gpu": (1000, 2000, 256)}
"""People (a tenth of them is held out), groups of swaps, and side of the pictures in pixels."""


class Stage(NamedTuple):
    """One part of stage 1. size: of the pictures, px; rate: AdamW's; losses: on top of SILENT.
    plain: whether pictures come as they are, but for flips and mild colours. reader: the dynamics
    encoder alone (`vasa_jax.training.reader_step`). parts: of the face model that it trains and
    hands on, all if empty."""

    name: str
    size: int
    steps: int
    batch: int
    rate: float
    losses: tuple[str, ...]
    other: tuple[str, ...] = ()
    plain: bool = True
    reader: bool = False
    parts: tuple[str, ...] = ()


STAGES = {
    "cpu": (
        Stage("pose", 128, 2_000, 32, 1e-3, POSE, plain=False, parts=("pose",)),
        Stage("reader", 128, 12_000, 64, 1e-3, LABELS, reader=True),
        Stage("face64", 64, 12_000, 4, 1e-3, PIXELS, FROZEN),
        Stage("face128", 128, 4_000, 4, 4e-4, PIXELS + FEATURES, FROZEN),
    ),
    "gpu": (
        Stage("pose", 256, 6_000, 128, 1e-3, POSE, plain=False, parts=("pose",)),
        Stage("reader", 256, 30_000, 256, 1e-3, LABELS, reader=True),
        Stage("face64", 64, 12_000, 128, 1e-3, PIXELS, FROZEN),
        Stage("face128", 128, 8_000, 64, 5e-4, PIXELS + FEATURES, FROZEN),
        Stage("face256", 256, 6_000, 32, 3e-4, PIXELS + FEATURES, FROZEN),
        Stage("joint", 256, 8_000, 16, 1e-4, POSE + LABELS + PIXELS + FEATURES + EVERYTHING,
              plain=False),
    ),
}  # fmt: skip


def config_of(stage: Stage):
    """The demo config with the stage's losses and optimiser."""
    from vasa_jax.config import get_config

    train = {
        "steps": stage.steps, "batch": stage.batch, "learning_rate": stage.rate,
        "final_learning_rate": stage.rate / 30, "warmup": 200, "beta1": 0.9, "weight_decay": 1e-4,
        "clip": 5.0, "ema": 0.998, "log_every": 25, "sample_every": 500, "save_every": 500,
        "keep": 1,
    }  # fmt: skip
    return get_config(CONFIG, [
        f"face.image_size={stage.size}",
        *(f"face_losses.{loss}" for loss in SILENT + stage.losses),
        *(f"train_face.{key}={value}" for key, value in train.items()),
        *stage.other,
    ])  # fmt: skip


def make_corpus(data: Path, scale: str, assets: Path | None) -> None:
    """Draw `data`/train and `data`/held; drawn groups are kept if it is interrupted."""
    from vasa_jax.data_pipeline.prepare.pool import run_jobs
    from vasa_jax.data_pipeline.synthetic.casting import partners
    from vasa_jax.data_pipeline.synthetic.corpus import cast, draw, place_of
    from vasa_jax.data_pipeline.synthetic.plan import Plan, check_plan, swap_jobs
    from vasa_jax.inference.progress import Reporter

    people, groups, size = CORPUS[scale]
    plan = Plan(400, people, people / 30, size, assets=assets, swaps=groups,
                val_share=0.05, test_share=0.05)  # fmt: skip
    check_plan(plan)
    drawn, workers, report = data / "drawn", os.cpu_count() or 1, Reporter()
    drawn.mkdir(parents=True, exist_ok=True)
    plan, members = cast(plan, drawn, report, workers)
    jobs = swap_jobs(plan, partners(members))
    todo = [job for job in jobs if not place_of(drawn, plan, job).is_file()]
    with report.stage("draw", len(todo)) as advance:
        for outcome in run_jobs(draw, todo, workers, (plan, drawn)):
            if outcome.error is not None:
                raise outcome.error
            advance(1)
    # train/ comes last: where it is, the corpus is whole.
    for folder, inside in (("held", ("val", "test")), ("train", ("train",))):
        if (data / folder).exists():
            continue
        fresh = data / f"{folder}.new"
        fresh.mkdir(exist_ok=True)
        for job in jobs:
            if job.split in inside:
                file = place_of(drawn, plan, job)
                shutil.copyfile(file, fresh / file.name)
        fresh.rename(data / folder)


class Lines:
    """Progress as lines of text: a slice's output is read afterwards."""

    def note(self, text: str) -> None:
        print(text, flush=True)

    def step(self, step: int, total: int, values: dict) -> None:
        words = " ".join(f"{k} {v:.4g}" for k, v in values.items() if not k.endswith("_norm"))
        print(f"{time.strftime('%H:%M:%S')} {step}/{total} {words}", flush=True)

    def close(self) -> None:
        pass


def train_stage(
    stage: Stage, work: Path, data_folder: Path, before: dict | None, copy: Path | None
) -> bool:
    """Train until the stage ends or SIGTERM comes; True when it has ended.

    before: averaged parameters of the stage before, by network.
    """
    import jax

    from vasa_jax.data_pipeline.loading.crops import CropFiles
    from vasa_jax.data_pipeline.loading.groups import GroupFiles
    from vasa_jax.data_pipeline.loading.pairs import Augment
    from vasa_jax.params import flatten, save_safetensors
    from vasa_jax.training.checkpoint import Checkpoints
    from vasa_jax.training.compact import HEADER, pack, unpack
    from vasa_jax.training.loop import train
    from vasa_jax.training.mesh import Layout, make_mesh
    from vasa_jax.training.program import build_program, init_state
    from vasa_jax.training.reader_step import reader_task
    from vasa_jax.training.run import make_task

    config, folder = config_of(stage), work / stage.name
    frozen, perception = _loss_networks(config)
    held = data_folder / "held"
    held = held if held.is_dir() else None
    if stage.reader:
        data, task = CropFiles(data_folder / "train", config, seed=1), reader_task(config)
    else:
        augment = Augment(views=()) if stage.plain else None
        data = GroupFiles(data_folder / "train", config, seed=1, augment=augment)
        task = make_task(config, "face", data, frozen, perception)
    program = build_program(task, Layout(make_mesh(config.mesh), config.mesh.fsdp_floor))
    initial = None
    if not (folder / "checkpoints").exists():
        if copy is not None and (copy / HEADER).exists() and _stage_of(copy) == stage.name:
            state, extra = unpack(copy, program.abstract_state)
            saved = Checkpoints(folder / "checkpoints", 1)
            place = jax.device_put(state, program.state)
            saved.save(int(state.step), place, extra["place"], config, task.name)
            saved.close()
        elif before is not None:
            initial = init_state(task, program).params
            initial = _laid_over(initial, before)
    result = train(task, folder, data, progress=Lines(), initial=initial)
    place = {**data.state(), "next": result.step * stage.batch // jax.process_count()}
    if result.finished:
        ema = jax.device_get(result.state.ema)
        if stage.parts:
            ema = {"face": {name: ema["face"][name] for name in stage.parts}}
        ema = flatten(_added(ema, before or {}))
        save_safetensors(folder / "ema.safetensors", ema, {"stage": stage.name})
    if copy is not None:
        size = pack(result.state, {"stage": stage.name, "place": place}, copy)
        print(f"{copy}: {size / 2**20:.1f} MiB", flush=True)
        known = flatten(result.state.params)
        rest = {k: v for k, v in flatten(before or {}).items() if k not in known}
        save_safetensors(copy / BEFORE, rest, {"stage": stage.name})
    if held is not None and not stage.reader:
        figures = _gate(config, _added(jax.device_get(result.state.ema), before or {}), held)
        words = " ".join(f"{name} {value:.3g}" for name, value in figures.items())
        print(f"held-out people at step {result.step}: {words}", flush=True)
        record = json.dumps({"step": result.step, **figures}) + "\n"
        with (folder / "gate.jsonl").open("a") as file:
            file.write(record)
    return result.finished


def _laid_over(tree: dict, other: dict) -> dict:
    """`tree` with the leaves of `other` wherever both have them."""
    return {
        key: _laid_over(value, other.get(key, {})) if isinstance(value, dict)
        else other.get(key, value)
        for key, value in tree.items()
    }  # fmt: skip


def _added(tree: dict, other: dict) -> dict:
    """`tree` with what only `other` has."""
    new = {key: value for key, value in other.items() if key not in tree}
    both = {
        key: _added(value, other[key]) if isinstance(value, dict) and key in other else value
        for key, value in tree.items()
    }
    return both | new


def _gate(config, params, held: Path) -> dict[str, float]:
    """The same 64 swaps of people never trained on, every time."""
    from vasa_jax.data_pipeline.loading.groups import GroupFiles
    from vasa_jax.data_pipeline.loading.pairs import PLAIN
    from vasa_jax.evaluation.gate import measure

    data = GroupFiles(held, config, batch=8, augment=PLAIN)
    return measure(config, params, [next(data) for _ in range(8)])


def _loss_networks(config):
    """VGG and dlib where the config's losses need them."""
    from vasa_jax import zoo
    from vasa_jax.perception import dlib_identity, lpips
    from vasa_jax.perception.vgg import VGG, VGG16_BLOCKS
    from vasa_jax.training.face_step import Perception

    losses, frozen = config.face_losses, {}
    if losses.perceptual.weight or losses.exact.perceptual * losses.exact.weight:
        frozen["vgg"] = lpips.load(zoo.ensure("vgg16-lpips"))["vgg"]
    if losses.cross_identity.weight or losses.face_features.weight:
        frozen["identity"] = dlib_identity.load(zoo.ensure("dlib-face-recognition"))
    return frozen, Perception(vgg=VGG(blocks=VGG16_BLOCKS))


def _stage_of(copy: Path) -> str:
    return json.loads((copy / "state.json").read_text())["extra"]["stage"]


def _finished(work: Path, stage: Stage) -> dict | None:
    """The stage's averaged parameters by network, if it has ended."""
    from vasa_jax.params import load_safetensors, unflatten

    file = work / stage.name / "ema.safetensors"
    return unflatten(load_safetensors(file)) if file.exists() else None


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="train the demo weights")
    parser.add_argument("--scale", choices=sorted(STAGES))
    parser.add_argument("--work", type=Path, default=ROOT / "results" / "train_demo")
    parser.add_argument("--data", type=Path, help="folder with train/ and held/ of swap groups")
    parser.add_argument("--assets", type=Path, help="MakeHuman's CC0 assets for a new corpus")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--copy", type=Path)
    parser.add_argument("--until", help="the last stage to train")
    parser.add_argument("--dry", type=int, metavar="N", help="N steps of 2 examples in every "
                        "stage, to see that all of it runs")  # fmt: skip
    arguments = parser.parse_args(words)
    import jax

    from vasa_jax.compile_cache import enable_compile_cache
    from vasa_jax.params import load_safetensors, unflatten

    enable_compile_cache()
    if arguments.seconds:
        timer = threading.Timer(arguments.seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()
    scale = arguments.scale or ("cpu" if jax.default_backend() == "cpu" else "gpu")
    stages, copy = STAGES[scale], arguments.copy
    if arguments.dry:
        stages = tuple(s._replace(steps=arguments.dry, batch=2) for s in stages)
    data = arguments.data or arguments.work / "data"
    if not (data / "train").is_dir():
        make_corpus(data, scale, arguments.assets)
    if copy is not None and (copy / "state.json").exists():
        names = [stage.name for stage in stages]
        if not any((arguments.work / name).exists() for name in names):
            stages = stages[names.index(_stage_of(copy)) :]
    before = None
    if len(stages) < len(STAGES[scale]):
        before = unflatten(load_safetensors(copy / BEFORE))
    for stage in stages:
        done = _finished(arguments.work, stage)
        if done is None:
            print(f"stage {stage.name}: {stage.size} px, {stage.steps} steps of {stage.batch}",
                  flush=True)  # fmt: skip
            if not train_stage(stage, arguments.work, data, before, copy):
                print("stopped in time; the same command goes on")
                return 0
            done = _finished(arguments.work, stage)
        before = done
        if stage.name == arguments.until:
            break
    print("all stages are done")
    return 0


if __name__ == "__main__":
    from vasa_jax.errors import UserError

    try:
        raise SystemExit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
