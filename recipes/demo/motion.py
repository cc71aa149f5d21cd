"""Stage 2 of the demo: motion codes of tracks, the pretrained mel encoder, training, export."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recipes.demo.config import MotionStage
from vasa_jax.training.progress import Progress


def make_clips(data: Path, work: Path, stage: MotionStage, tell: Callable[[str], None]) -> Path:
    """Write `work`/clips, the motion of `data`/tracks in codes; tracks are made where missing."""
    from recipes.demo.data.track_motion import write_motion
    from recipes.demo.data.tracks import make_tracks
    from vasa_jax.data_pipeline.synthetic.plan import Plan
    from vasa_jax.extensions.arkit_code import label_read_in

    tracks, fresh = data / "tracks", data / "tracks.new"
    if not tracks.is_dir():
        # Renamed when it is complete: then a machine without a voice can use it as it is.
        spoken = Plan(300, stage.people, stage.minutes, mixed_voices=True)
        make_tracks(spoken, fresh, tell, os.cpu_count() or 1)
        fresh.rename(tracks)
    write_motion(tracks, work / "clips", label_read_in(stage.config.face.dyn_dim), tell)
    return work / "clips"


def pretrained_audio(
    data: Path, work: Path, stage: MotionStage, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The mel encoder's parameters after phonemes, kept in `work`/hear.safetensors."""
    from recipes.demo.data.track_speech import speech_of
    from recipes.demo.stages.phoneme_pretrain import pretrain
    from vasa_jax.params import flatten, load_safetensors, save_safetensors, unflatten

    file = work / "hear.safetensors"
    if not file.exists():
        spoken, held = speech_of(data / "tracks")
        found = pretrain(stage.config, spoken, held, steps=stage.phoneme_steps, tell=tell)
        if found.held is not None:
            words = " ".join(f"{name} {share:.3f}" for name, share in found.held.items())
            tell(f"phonemes, held-out voices: {words}")
        save_safetensors(file, flatten({"audio": found.audio}), {"config": stage.config.name})
    return unflatten(load_safetensors(file))


def train_motion(data: Path, work: Path, stage: MotionStage, progress: Progress) -> bool:
    """Train stage 2 in `work`/motion until its end or a SIGTERM; True when it has ended."""
    from vasa_jax.training.loop import train
    from vasa_jax.training.mesh import Layout, make_mesh
    from vasa_jax.training.motion_clips import MotionClips
    from vasa_jax.training.program import build_program, init_state
    from vasa_jax.training.run import keep_labels, make_trainer

    config = stage.config
    clips = MotionClips(make_clips(data, work, stage, progress.note), config, seed=1)
    frozen = {"stats": clips.stats, "correlations": clips.correlations()}
    task = make_trainer(config, "motion", clips, frozen)
    program = build_program(task, Layout(make_mesh(config.mesh), config.mesh.fsdp_floor))
    initial, folder = None, work / "motion"
    if not (folder / "checkpoints").exists():
        audio = pretrained_audio(data, work, stage, progress.note)
        initial = init_state(task, program).params | audio
    keep_labels(folder, clips.seen, progress)
    result = train(task, folder, clips, progress=progress, initial=initial)
    return result.finished


def export(work: Path, stage: MotionStage, face: dict[str, Any], out: Path) -> None:
    """Write the bundle, kernels in int8: the face model and stage 2's averages."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from vasa_jax.bundle import PARTS, Bundle, abstract_params, save_bundle
    from vasa_jax.params import check_against, flatten
    from vasa_jax.training.run import export as exported

    found = exported(stage.config, "motion", work / "motion")
    assert found.stats is not None  # stage 2 has them
    parts = {"face": face, **found.params}
    parts = {name: jax.tree.map(np.asarray, parts[name]) for name in PARTS}
    check_against(flatten(parts), flatten(abstract_params(stage.config)), "the trained parameters")
    bundle = Bundle(stage.config, parts, found.stats, True, found.seen)
    save_bundle(out, bundle, jnp.dtype("int8"))
