"""What tests of the loaders share: a config, small datasets, comparisons."""

import itertools

import jax
import numpy as np

from vasa_jax.config import get_config
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.data_pipeline.datasets.write import write_dataset

CONFIG = get_config("debug")
SIZE = CONFIG.face.image_size


def dataset_of(clips, out):
    """The TFDS dataset of these clips under `out`; its folder."""
    files = []
    for clip in clips:
        files.append(out / "clips" / f"{clip.clip_id.replace('/', '-')}.npz")
        write_clip(files[-1], clip)
    write_dataset(out, "video_folder", {"train": files})
    return out


def take(loader, count):
    return list(itertools.islice(loader, count))


def same(a, b):
    """Whether trees have one structure; asserts that their leaves are equal."""
    jax.tree.map(np.testing.assert_array_equal, a, b)
    return jax.tree.structure(a) == jax.tree.structure(b)


def content(image):
    """A picture that went through JPEG, made comparable."""
    return np.asarray(image * 255, np.int32)


def shrunk(image):
    """The mean of every two by two pixels, by numpy alone."""
    rows, columns, *rest = image.shape
    parts = image.reshape(rows // 2, 2, columns // 2, 2, *rest).astype(float)
    return parts.mean((1, 3))
