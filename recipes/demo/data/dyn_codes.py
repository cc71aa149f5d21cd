"""z_dyn of the images of swap groups, and the regressor from ARKit coefficients fitted to it.

    python -m recipes.demo.data.dyn_codes TRAIN HELD --weights ema.safetensors -o OUT

TRAIN and HELD are folders of group files, of other people each.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.angles import gaze_angles, gaze_directions, rotation_matrices
from vasa_jax.config import Config, get_config
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.data_pipeline.swaps import SwapGroup, find_groups, read_group
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_regressor import Codes, choose, save_read_in
from vasa_jax.extensions.face_crop import face_crop
from vasa_jax.face.conv import LayerOptions
from vasa_jax.face.motion import DynEncoder, PoseEncoder
from vasa_jax.params import load_safetensors, unflatten
from vasa_jax.perception.batches import in_batches
from vasa_jax.signals import exit_with
from vasa_jax.typing import Pose


def group_codes(
    folder: Path,
    config: Config,
    params: Any,
    limit: int | None = None,
    batch: int = 72,
    each: int | None = None,
) -> Codes:
    """z_dyn of every image of the groups in `folder`/**/*.npz (the first `limit` of them), or of
    `each` images of every face, of people and poses in turn.

    params: the face model's "dyn", and "pose" if poses are to be encoded too, not taken from the
    labels. Raises UserError for a folder without groups, and groups without ARKit coefficients or
    gaze.
    """
    files = find_groups(folder)[:limit]
    options = LayerOptions(config.face.norm_groups, config.dtype)
    crop = config.face.extensions.dyn_crop
    params = {name: params[name] for name in ("dyn", "pose") if name in params}

    @jax.jit
    def encode(params, pictures, *labels):
        images, pose = pictures.astype(jnp.float32) / 255, Pose(*labels)
        if "pose" in params:
            pose = PoseEncoder(config.face, options).apply({"params": params["pose"]}, images)
        seen = face_crop(images, pose, crop) if crop else images
        encoder = DynEncoder(config.face, options, crop or None)
        return encoder.apply({"params": params["dyn"]}, seen)

    rows: list[Codes] = []
    faces = 0
    with ThreadPoolExecutor() as pool:
        for file in files:
            group = read_group(file)
            if group.arkit is None or group.gaze is None:
                raise UserError(f"{file}: its group lacks ARKit coefficients or gaze")
            counts = group.counts()
            i, p, d = (axis.ravel() for axis in np.indices(counts))
            if each is not None:
                views = counts[0] * counts[1]
                # Each face's images start one view later than the previous face's.
                turn = (i * counts[1] + p - d * each) % views
                i, p, d = (axis[turn < each] for axis in (i, p, d))
            chosen = [group.images[k] for k in np.ravel_multi_index((i, p, d), counts)]
            pictures = np.stack(list(pool.map(decode_rgb, chosen, [group.size] * len(chosen))))
            pose = (group.rotation[i, p], group.translation[i, p], group.log_scale[i, p])
            dyn = in_batches(partial(encode, params), (pictures, *pose), batch)
            rows.append(Codes(dyn, group.arkit[d], eyes_of(group)[p, d], faces + d))
            faces += counts[2]
    return Codes(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def eyes_of(group: SwapGroup) -> np.ndarray:
    """(p, d, 2) float32: gaze relative to the head, of every pose and expression. The same for all
    poses, but for rounding. Raises ValueError for a group without gaze."""
    if group.gaze is None:
        raise ValueError(f"{group.group_id}: a group without gaze")
    turn = rotation_matrices(group.rotation[0])
    inside = np.einsum("pji,pdj->pdi", turn, gaze_directions(group.gaze))
    return gaze_angles(inside).astype(np.float32)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("held", type=Path)
    parser.add_argument(
        "--weights", required=True, type=Path, help="safetensors with face/dyn/… and face/pose/…"
    )
    parser.add_argument("--config", default="demo")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--groups", type=int, help="at most so many of each folder")
    parser.add_argument("--each", type=int, help="pictures of a face (default: all)")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    config = get_config(given.config, given.set)
    params = unflatten(load_safetensors(given.weights))["face"]
    train, held = (
        group_codes(folder, config, params, given.groups, each=given.each)
        for folder in (given.train, given.held)
    )
    read_in, figures = choose(train, held)
    print(f"{len(train.dyn)} pictures, {len(held.dyn)} held out; shares of variance explained:")
    for kind, shares in figures.items():
        print(f"{kind:10s}", *(f"{name} {share:.3f}" for name, share in shares.items()))
    save_read_in(given.output, read_in)
    print(f"{given.output}: {read_in.kind}")
    return 0


if __name__ == "__main__":
    exit_with(main)
