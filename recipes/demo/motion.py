"""Stage 2 of the demo weights: tracks without pictures, a mel encoder that knows phonemes, the
diffusion transformer, and the bundle of everything."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from recipes.demo import config as recipe


class MotionPlan(NamedTuple):
    """people, minutes: of the tracks; a tenth of the people is held out, with voices of their own.
    hear, steps, batch, rate: steps on phonemes; of stage 2, their batch and AdamW's rate."""

    people: int
    minutes: float
    hear: int
    steps: int
    batch: int
    rate: float


PLANS = {
    "cpu": MotionPlan(400, 240.0, 4_000, 8_000, 16, 4e-4),
    "gpu": MotionPlan(1000, 600.0, 8_000, 60_000, 128, 4e-4),
}


def config_of(plan: MotionPlan):
    """The demo config with stage 2's optimiser."""
    from vasa_jax.config import get_config

    train = {
        "steps": plan.steps,
        "batch": plan.batch,
        "learning_rate": plan.rate,
        "final_learning_rate": plan.rate / 30,
        "warmup": 300,
        "schedule": "cosine",
        "ema": 0.999,
        "log_every": 50,
        "sample_every": 10_000_000,
        "save_every": 500,
        "keep": 1,
    }
    settings = [f"train_motion.{key}={value}" for key, value in train.items()]
    return get_config(recipe.CONFIG, [*recipe.SETTINGS, *settings])


def make_clips(data: Path, work: Path, plan: MotionPlan, tell: Callable[[str], None]) -> Path:
    """Tracks in `data`/tracks if there are none, then `work`/clips: their motion in codes."""
    from recipes.demo.data.track_motion import write_motion
    from recipes.demo.data.tracks import make_tracks
    from vasa_jax.data_pipeline.synthetic.plan import Plan
    from vasa_jax.extensions.arkit_code import label_read_in

    tracks, fresh = data / "tracks", data / "tracks.new"
    if not tracks.is_dir():
        # Under its own name only when it is whole: a machine without a voice needs no more of it.
        spoken = Plan(300, plan.people, plan.minutes, mixed_voices=True)
        make_tracks(spoken, fresh, tell, os.cpu_count() or 1)
        fresh.rename(tracks)
    dim = config_of(plan).face.dyn_dim
    write_motion(tracks, work / "clips", label_read_in(dim), tell)
    return work / "clips"


def hear(data: Path, work: Path, plan: MotionPlan, tell: Callable[[str], None]) -> dict:
    """The mel encoder's parameters after phonemes, kept in `work`/hear.safetensors."""
    from recipes.demo.data.track_speech import speech_of
    from recipes.demo.stages.phoneme_pretrain import pretrain
    from vasa_jax.params import flatten, load_safetensors, save_safetensors, unflatten

    file = work / "hear.safetensors"
    if not file.exists():
        spoken, held = speech_of(data / "tracks")
        found = pretrain(config_of(plan), spoken, held, steps=plan.hear, tell=tell)
        if found.held is not None:
            words = " ".join(f"{name} {share:.3f}" for name, share in found.held.items())
            tell(f"phonemes, held-out voices: {words}")
        save_safetensors(file, flatten({"audio": found.audio}), {"config": recipe.CONFIG})
    return unflatten(load_safetensors(file))


def train_motion(data: Path, work: Path, plan: MotionPlan, progress) -> bool:
    """Train stage 2 in `work`/motion until its end or a SIGTERM; True when it has ended."""
    from vasa_jax.training.loop import train
    from vasa_jax.training.mesh import Layout, make_mesh
    from vasa_jax.training.motion_clips import MotionClips
    from vasa_jax.training.program import build_program, init_state
    from vasa_jax.training.run import keep_labels, make_trainer

    config = config_of(plan)
    clips = MotionClips(make_clips(data, work, plan, progress.note), config, seed=1)
    frozen = {"stats": clips.stats, "correlations": clips.correlations()}
    task = make_trainer(config, "motion", clips, frozen)
    program = build_program(task, Layout(make_mesh(config.mesh), config.mesh.fsdp_floor))
    initial, folder = None, work / "motion"
    if not (folder / "checkpoints").exists():
        heard = hear(data, work, plan, progress.note)
        initial = init_state(task, program).params | heard
    keep_labels(folder, clips.seen, progress)
    result = train(task, folder, clips, progress=progress, initial=initial)
    return result.finished


def export(work: Path, plan: MotionPlan, face: dict, out: Path) -> None:
    """The bundle with int8 kernels: the merged face model, and stage 2's averages."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from vasa_jax.bundle import PARTS, Bundle, abstract_params, save_bundle
    from vasa_jax.config import get_config
    from vasa_jax.params import check_against, flatten
    from vasa_jax.training.run import export as exported

    found = exported(config_of(plan), "motion", work / "motion")
    assert found.stats is not None  # stage 2 has them
    config = get_config(recipe.CONFIG, recipe.SETTINGS)
    parts = {"face": face, **found.params}
    parts = {name: jax.tree.map(np.asarray, parts[name]) for name in PARTS}
    check_against(flatten(parts), flatten(abstract_params(config)), "the trained parameters")
    save_bundle(out, Bundle(config, parts, found.stats, True, found.seen), jnp.dtype("int8"))
