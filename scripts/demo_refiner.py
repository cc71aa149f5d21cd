"""The refiner's pairs of crops: frames of a frozen face model beside their exact renders."""

import dataclasses
from pathlib import Path

import numpy as np

SOURCES, TARGETS = 6, 8
"""Of one identity in a group: portraits, and frames decoded of each."""


def make_pairs(groups: Path, out: Path, config, face: dict, tell=print) -> None:
    """`out`/NAME.npz for every group of `groups` that has none there yet.

    face: parameters of the face model. Portraits are mostly faces at rest, as in use, and every
    fourth frame shows the portrait's own head pose. Motion is exact; the portrait's dynamics are
    those of its encoder every other time, which is what inference knows of it.
    """
    import jax
    import jax.numpy as jnp

    from vasa_jax.data_pipeline.loading.pictures import decode_rgb
    from vasa_jax.data_pipeline.loading.refiner_pairs import MARGIN, write_pairs
    from vasa_jax.data_pipeline.swaps import find_groups, read_group
    from vasa_jax.face.label_code import eyes_in_head, label_code
    from vasa_jax.face.model import FaceModel
    from vasa_jax.face.refiner import HALF, condition, crop_face
    from vasa_jax.typing import Motion, Pose

    side = round(MARGIN * config.face.refiner)
    model = FaceModel(dataclasses.replace(config.face, refiner=0))

    def crop(image, pose):
        small = crop_face(image, pose, side, HALF * MARGIN)
        return jnp.round(255 * jnp.clip(small, 0, 1)).astype(jnp.uint8)

    @jax.jit
    def work(params, portrait, seen, targets, pose_s, dyn_s, pose_d, dyn_d):
        """seen: 1 where the portrait's dynamics are the encoder's."""
        portrait, targets = portrait[None] / 255, targets / 255
        read = model.apply({"params": params}, portrait, method="encode_motion").dyn
        source = Motion(pose_s, jnp.where(seen, read, dyn_s))
        kept = model.apply({"params": params}, portrait, source, method="encode_source")
        driver = Motion(pose_d, dyn_d)
        frames = model.apply({"params": params}, kept, driver, method="decode")
        crops = crop(frames, pose_d), crop(targets, pose_d), crop(portrait, pose_s)
        return *crops, condition(source, driver)

    out.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(find_groups(groups)):
        place = out / f"{file.stem}.npz"
        if place.exists():
            continue
        group = read_group(file)
        people, poses, dynamics = group.counts()
        rng = np.random.default_rng((5, number))

        def motion(i, p, d, group=group):
            pose = Pose(*(np.asarray(getattr(group, n)[i, p], np.float32)[None]
                          for n in ("rotation", "translation", "log_scale")))  # fmt: skip
            eyes = eyes_in_head(jnp.asarray(group.gaze[p, d], jnp.float32)[None], pose.rotation)
            arkit = np.asarray(group.arkit[d], np.float32)[None]
            return Motion(pose, label_code(arkit, eyes, config.face.dyn_dim))

        def picture(i, p, d, group=group, counts=(people, poses, dynamics)):
            image = group.images[int(np.ravel_multi_index((i, p, d), counts))]
            return decode_rgb(image, group.size).astype(np.float32)

        rows = {name: [] for name in ("frame", "target", "portrait", "source", "motion")}
        for i in range(people):
            for s in range(max(2, SOURCES * 2 // people)):
                p, d = int(rng.integers(poses)), 0 if s % 2 else int(rng.integers(dynamics))
                shown = [
                    (i, p if rng.random() < 0.25 else int(rng.integers(poses)),
                     int(rng.integers(dynamics)))
                    for _ in range(TARGETS)
                ]  # fmt: skip
                motions = [motion(*one) for one in shown]
                driver = jax.tree.map(lambda *x: jnp.concatenate(x), *motions)
                own = motion(i, p, d)
                made = work(
                    face, picture(i, p, d), bool(s % 4 < 2), np.stack([picture(*x) for x in shown]),
                    own.pose, own.dyn, driver.pose, driver.dyn,
                )  # fmt: skip
                frame, target, portrait, known = (np.asarray(x) for x in made)
                rows["source"].append(np.full(TARGETS, len(rows["portrait"]), np.int32))
                for name, value in (("frame", frame), ("target", target),
                                    ("portrait", portrait), ("motion", known)):  # fmt: skip
                    rows[name].append(value)
        write_pairs(place, {name: np.concatenate(value) for name, value in rows.items()})
        tell(f"{place.name}: {len(rows['frame']) * TARGETS} pairs")
