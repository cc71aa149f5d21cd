"""The corpus of the demo weights' stage 1: groups of exact swaps."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
from demo_stages import CONFIG, MAPS, SETTINGS


def make_corpus(data: Path, corpus: tuple[int, int, int], assets: Path | None) -> None:
    """Draw `data`/train and `data`/held; drawn groups are kept if it is interrupted.

    corpus: people, groups and side in pixels, as in `demo_stages.CORPUS`. With assets two thirds
    of the people wear them and the others are painted.
    """
    from vasa_jax.config import get_config
    from vasa_jax.data_pipeline.synthetic.blendmaps import blend_maps, mean_front
    from vasa_jax.face.compose import SURFACE_SIZE
    from vasa_jax.media.files import write_whole

    people, groups, size = corpus
    kinds = [("painted", None, 401, people, groups)]
    if assets is not None:
        few, some = people // 3, groups // 3
        kinds = [("painted", None, 401, few, some),
                 ("assets", assets, 400, people - few, groups - some)]  # fmt: skip
    files = {"held": [], "train": []}
    for name, folder, seed, people, groups in kinds:
        for part, found in _draw_groups(data / name, folder, seed, people, groups, size).items():
            files[part] += found
    if not (data / MAPS).exists():
        maps = blend_maps(24, get_config(CONFIG, SETTINGS).face.dyn_maps)
        file = io.BytesIO()
        np.savez(file, displacements=maps, front=mean_front(24, SURFACE_SIZE))
        write_whole(data / MAPS, "maps of z_dyn", file.getvalue())
    # train/ comes last: where it is, the corpus is whole.
    for part, found in files.items():
        if (data / part).exists():
            continue
        fresh = data / f"{part}.new"
        fresh.mkdir(exist_ok=True)
        for file in found:
            shutil.copyfile(file, fresh / f"{file.parent.parent.name}-{file.name}")
        fresh.rename(data / part)


def _draw_groups(
    drawn: Path, assets: Path | None, seed: int, people: int, groups: int, size: int
) -> dict[str, list[Path]]:
    """The files of one kind of people, by part of the corpus."""
    from vasa_jax.data_pipeline.synthetic.casting import partners
    from vasa_jax.data_pipeline.synthetic.corpus import cast, draw_missing, place_of
    from vasa_jax.data_pipeline.synthetic.plan import Plan, check_plan, swap_jobs
    from vasa_jax.inference.progress import Reporter

    plan = Plan(seed, people, people / 30, size, assets=assets, swaps=groups,
                val_share=0.05, test_share=0.05)  # fmt: skip
    check_plan(plan)
    workers, report = os.cpu_count() or 1, Reporter()
    drawn.mkdir(parents=True, exist_ok=True)
    plan, members = cast(plan, drawn, report, workers)
    jobs = swap_jobs(plan, partners(members))
    draw_missing(jobs, plan, drawn, report, workers)
    place = {"train": "train", "val": "held", "test": "held"}
    files: dict[str, list[Path]] = {"held": [], "train": []}
    for job in jobs:
        files[place[job.split]].append(place_of(drawn, plan, job))
    return files
