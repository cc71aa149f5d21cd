"""The corpus of the demo's stage 1: swap groups."""

import io
import os
import shutil
from pathlib import Path

import numpy as np

from recipes.demo.config import DEMO, MAPS, PEOPLE, Corpus


def make_corpus(data: Path, corpus: Corpus, assets: Path | None) -> None:
    """Render `data`/train and `data`/held; what is rendered is kept when it is interrupted.

    assets: MakeHuman's, for two thirds of the people.
    """
    from recipes.demo.data.blendshape_maps import blendshape_maps, mean_front
    from vasa_jax.extensions.compositing.decoder import PRIOR_SIZE
    from vasa_jax.media.files import write_whole

    plans = _plans(corpus, assets)
    files: dict[str, list[Path]] = {"held": [], "train": []}
    for name, plan in plans.items():
        for part, found in _draw_groups(data / name, plan).items():
            files[part] += found
    if not (data / MAPS).exists():
        maps = blendshape_maps(24, DEMO.face.extensions.blendshape_maps)
        content = io.BytesIO()
        np.savez(content, displacements=maps, front=mean_front(24, PRIOR_SIZE))
        write_whole(data / MAPS, "maps of z_dyn", content.getvalue())
    # train/ comes last: where it exists, the corpus is complete.
    for part, found in files.items():
        if (data / part).exists():
            continue
        fresh = data / f"{part}.new"
        fresh.mkdir(exist_ok=True)
        for file in found:
            shutil.copyfile(file, fresh / f"{file.parent.parent.name}-{file.name}")
        fresh.rename(data / part)


def _plans(corpus: Corpus, assets: Path | None):
    """Plans by the names of their folders."""
    from vasa_jax.data_pipeline.synthetic.plan import Plan

    shares: dict[str, tuple[Path | None, float]] = {"painted": (None, 1.0)}
    if assets is not None:
        shares = {"painted": (None, 1 / 3), "assets": (assets, 2 / 3)}
    plans = {}
    for number, (name, (folder, share)) in enumerate(shares.items()):
        people, groups, few = (round(share * n) for n in corpus[:3])
        base = Plan(
            401 - number,
            people,
            people / 30,
            corpus.size,
            assets=folder,
            swaps=groups,
            places=True,
            val_share=0.05,
            test_share=0.05,
        )
        plans[name] = base
        # So many that hardly anyone appears twice; identities are not compared.
        people = 3 * PEOPLE * few
        plans[f"{name}-few"] = base._replace(
            seed=base.seed + 100,
            identities=people,
            minutes=people / 30,
            swaps=few,
            swap_people=PEOPLE,
            swap_dynamics=2,
            swap_looks=True,
            val_share=0.0,
            test_share=0.0,
            any_faces=True,
            places=False,
        )
    return plans


def _draw_groups(drawn: Path, plan) -> dict[str, list[Path]]:
    """The files of one plan by part of the corpus, rendered where they are missing."""
    from vasa_jax.data_pipeline.synthetic.corpus import draw_missing, place_of, settle_identities
    from vasa_jax.data_pipeline.synthetic.identity_selection import distinct_partners
    from vasa_jax.data_pipeline.synthetic.plan import check_plan, swap_jobs
    from vasa_jax.inference.progress import Reporter

    check_plan(plan)
    workers, report = os.cpu_count() or 1, Reporter()
    drawn.mkdir(parents=True, exist_ok=True)
    plan, members = settle_identities(plan, drawn, report, workers)
    jobs = swap_jobs(plan, distinct_partners(members) if members else None)
    draw_missing(jobs, plan, drawn, report, workers)
    place = {"train": "train", "val": "held", "test": "held"}
    files: dict[str, list[Path]] = {"held": [], "train": []}
    for job in jobs:
        files[place[job.split]].append(place_of(drawn, plan, job))
    return files
