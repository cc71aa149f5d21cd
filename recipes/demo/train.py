"""The training of the demo weights; scripts/train_demo.sh runs this.

Motion encoders first, alone and supervised; then the generator on exact codes, at growing image
sizes; on an accelerator at last all networks together, with VASA-1's own losses. Each slice ends
with figures on held-out people (`sanity_check`), a line of WORK/STAGE/gate.jsonl.
"""

import argparse
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from recipes.demo import config as recipe
from recipes.demo import motion
from recipes.demo.config import GENERATOR, Scale, Stage
from recipes.demo.corpus import make_corpus

ROOT = Path(__file__).resolve().parents[2]


class Lines:
    """Progress as lines of text."""

    def note(self, text: str) -> None:
        print(text, flush=True)

    def step(self, step: int, total: int, values: dict) -> None:
        words = " ".join(f"{k} {v:.4g}" for k, v in values.items() if not k.endswith("_norm"))
        print(f"{time.strftime('%H:%M:%S')} {step}/{total} {words}", flush=True)

    def close(self) -> None:
        pass


def train_stage(stage: Stage, work: Path, data_folder: Path, before: dict | None) -> bool:
    """Train until the stage ends or SIGTERM comes; True when it has ended.

    before: averaged parameters of the stages before, by network.
    """
    import jax

    from recipes.demo.data.face_crops import FaceCrops
    from recipes.demo.data.pose_images import PoseImages
    from recipes.demo.stages.dyn_encoder_step import dyn_encoder_trainer
    from vasa_jax.data_pipeline.loading.pairs import Augment
    from vasa_jax.data_pipeline.loading.swap_groups import SwapGroups
    from vasa_jax.extensions.arkit_code import fold_read_outs
    from vasa_jax.params import flatten, save_safetensors
    from vasa_jax.perception.loss_networks import loss_networks
    from vasa_jax.training.loop import train
    from vasa_jax.training.mesh import Layout, make_mesh
    from vasa_jax.training.pose_trainer import pose_trainer
    from vasa_jax.training.program import build_program, init_state
    from vasa_jax.training.run import make_trainer

    config, folder = stage.config, work / stage.name
    perception, frozen = loss_networks(config)
    held = data_folder / "held"
    data: Any
    if stage.trains == "dyn":
        data, task = FaceCrops(data_folder / "train", config, seed=1), dyn_encoder_trainer(config)
    elif stage.trains == "pose":
        data, task = PoseImages(data_folder / "train", config, seed=1), pose_trainer(config)
    else:
        augment = Augment(own=stage.own, tries=recipe.TRIES)
        if not stage.views:
            augment = augment._replace(views=())
        data = SwapGroups(data_folder / "train", config, seed=1, augment=augment)
        task = make_trainer(config, "face", data, frozen, perception)
    program = build_program(task, Layout(make_mesh(config.mesh), config.mesh.fsdp_floor))
    initial = None
    if not (folder / "checkpoints").exists():
        initial = jax.device_get(init_state(task, program).params)
        if stage.trains in ("generator", "all") and (data_folder / recipe.MAPS).exists():
            initial["face"] |= _known_maps(initial["face"], data_folder / recipe.MAPS)
        initial = laid_over(initial, before or {})
    result = train(task, folder, data, progress=Lines(), initial=initial)
    if result.finished:
        ema = jax.device_get(result.state.ema)
        if stage.trains == "dyn":
            ema = fold_read_outs(ema)
        if stage.parts:
            face = {name: ema["face"][name] for name in stage.parts if name in ema["face"]}
            ema = {**(ema if stage.trains == "dyn" else {}), "face": face}
        ema = flatten(_added(ema, before or {}))
        save_safetensors(folder / "ema.safetensors", ema, {"stage": stage.name})
    whole = _added(jax.device_get(result.state.ema), before or {})
    if held.is_dir() and "pose" in whole["face"]:
        figures = gate(config, whole, held, stage)
        words = " ".join(f"{name} {value:.3g}" for name, value in figures.items())
        print(f"held-out people at step {result.step}: {words}", flush=True)
        record = json.dumps({"step": result.step, **figures}) + "\n"
        with (folder / "gate.jsonl").open("a") as file:
            file.write(record)
    return result.finished


def _known_maps(face: dict, file: Path) -> dict:
    """Initial blendshape maps and front surface, from the head model's (`corpus`)."""
    import numpy as np

    from vasa_jax.extensions.arkit_code import SCALE
    from vasa_jax.extensions.blendshape_maps import from_displacements

    with np.load(file) as stored:
        known, front = stored["displacements"], stored["front"]
    signs = {"maps_source": SCALE, "maps_driver": -SCALE}
    fresh = {"surface": {"front": front}} if "surface" in face else {}
    return fresh | {
        name: {"maps": from_displacements(face[name]["maps"], known, sign)}
        for name, sign in signs.items()
        if name in face
    }


def laid_over(tree: dict, other: dict) -> dict:
    """`tree` with the leaves of `other` wherever both have them."""
    return {
        key: laid_over(value, other.get(key, {}))
        if isinstance(value, dict)
        else other.get(key, value)
        for key, value in tree.items()
    }


def _added(tree: dict, other: dict) -> dict:
    """`tree` with what only `other` has."""
    new = {key: value for key, value in other.items() if key not in tree}
    both = {
        key: _added(value, other[key]) if isinstance(value, dict) and key in other else value
        for key, value in tree.items()
    }
    return both | new


def gate(config, params, held: Path, stage: Stage, own: float = 0.25) -> dict[str, float]:
    """The figures of `sanity_check` on the same 64 held-out transfers every time. own: share whose
    driver is of the source's own person."""
    from recipes.demo.sanity_check import measure
    from vasa_jax.data_pipeline.loading.pairs import PLAIN
    from vasa_jax.data_pipeline.loading.swap_groups import SwapGroups

    data = SwapGroups(held, config, batch=8, augment=PLAIN._replace(own=own))
    encoders, generator = stage.trains != "generator", stage.trains in ("generator", "all")
    return measure(config, params, [next(data) for _ in range(8)], encoders, generator)


def finished(work: Path, stage: Stage) -> dict | None:
    """The stage's averaged parameters by network, if it has ended."""
    from vasa_jax.params import load_safetensors, unflatten

    file = work / stage.name / "ema.safetensors"
    return unflatten(load_safetensors(file)) if file.exists() else None


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="train the demo weights")
    parser.add_argument("--scale", choices=("cpu", "gpu"))
    parser.add_argument("--work", type=Path, default=ROOT / "results" / "train_demo")
    parser.add_argument("--data", type=Path, help="folder with train/ and held/ of swap groups")
    parser.add_argument("--assets", type=Path, help="MakeHuman's CC0 assets for a new corpus")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--until", help="the last stage to train")
    parser.add_argument("--skip", default="", help="stages to leave out for now, comma-separated")
    parser.add_argument(
        "--dry",
        type=int,
        metavar="N",
        help="N steps of 2 examples in every "
        "stage, in WORK/dry, on a tiny corpus there if DATA holds none: to see "
        "that all of it runs",
    )
    arguments = parser.parse_args(words)
    import jax

    from vasa_jax.compile_cache import enable_compile_cache

    enable_compile_cache()
    if arguments.seconds:
        timer = threading.Timer(arguments.seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()
    scale: Scale = arguments.scale or ("cpu" if jax.default_backend() == "cpu" else "gpu")
    parts, speech = recipe.stages(scale), recipe.motion_stage(scale)
    work, corpus = arguments.work, recipe.CORPUS[scale]
    data, skip = arguments.data or work / "data", arguments.skip.split(",")
    tracks, assets = data, arguments.assets
    if arguments.dry:
        # Apart from where a real run would find it.
        work, dry = work / "dry", recipe.DRY_CORPUS
        if not (data / "train").is_dir():
            data, corpus, assets = work / "data", dry, None
        if not (tracks / "tracks").is_dir():
            tracks = work / "data"
        parts = tuple(stage.shortened(arguments.dry, 2) for stage in parts)
        speech = speech.shortened(arguments.dry, 2, dry.people)
    if parts and not (data / "train").is_dir():
        make_corpus(data, corpus, assets)
    before = None
    for stage in parts:
        done = finished(work, stage)
        if done is None and stage.name in skip:
            continue
        if done is None:
            print(
                f"stage {stage.name}: {stage.config.face.image_size} px, "
                f"{stage.train.steps} steps of {stage.train.batch}",
                flush=True,
            )
            if not train_stage(stage, work, data, before):
                print("stopped in time; the same command goes on")
                return 0
            done = finished(work, stage) or {}
        before = laid_over(_added(before or {}, done), done)
        if stage.name == arguments.until:
            return 0
    if "motion" in skip:
        return 0
    section = speech.config.train_motion
    print(f"stage motion: {section.steps} steps of {section.batch}", flush=True)
    if not motion.train_motion(tracks, work, speech, Lines()):
        print("stopped in time; the same command goes on")
        return 0
    if before is not None and GENERATOR[0] in before["face"] and "pose" in before["face"]:
        motion.export(work, speech, before["face"], work / "bundle")
        print(f"all stages are done: {work / 'bundle'}")
    return 0


if __name__ == "__main__":
    from vasa_jax.signals import exit_with

    exit_with(main)
