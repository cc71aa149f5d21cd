"""Face batches by the names of their arrays, as folders of .npz files hold them."""

import jax
import numpy as np
import pytest

from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.training.face_batches import FIELDS, REQUIRED, fake, from_named, named, random
from vasa_jax.training.mesh import path_name
from vasa_jax.training.npz_data import NpzShards, available

CONFIG = get_config("debug")


def arrays_of(batch):
    """What a file holds: every array by its name."""
    parts = {k: v for k, v in named(batch).items() if v is not None}
    leaves = jax.tree_util.tree_leaves_with_path(parts)
    return {path_name(path): value for path, value in leaves}


def test_every_part_has_a_name():
    batch = random(CONFIG, 2)
    assert set(named(batch)) == set(FIELDS)
    assert len(arrays_of(batch)) == len(jax.tree.leaves(batch)) == len(FIELDS) + 4  # two poses
    back = from_named(named(batch))
    assert jax.tree.structure(back) == jax.tree.structure(batch)
    jax.tree.map(np.testing.assert_array_equal, back, batch)


def test_what_is_not_there_is_none():
    parts = named(random(CONFIG, 2))
    bare = from_named({name: parts[name] for name in REQUIRED})
    assert len(jax.tree.leaves(bare)) == 3
    assert bare.targets is None
    assert bare.source.view is bare.source.image
    assert {k for k, v in named(bare).items() if v is not None} == set(REQUIRED)


def test_mistakes():
    parts = named(random(CONFIG, 2))
    with pytest.raises(UserError, match=r"lacks 'dyn_only': give both"):
        from_named(parts | {"dyn_only": None})
    with pytest.raises(ValueError, match="'sorce' is no part"):
        from_named(parts | {"sorce": parts["source"]})


def test_files_keep_the_names_of_their_arrays(tmp_path):
    """`source`, `driver_view`, `driver_pose/rotation`: as before a batch was made of frames."""
    batch = random(CONFIG, 3)
    arrays = arrays_of(batch)
    assert {"source", "driver_view", "driver_pose/rotation", "pose_only_flow"} <= set(arrays)
    np.savez(tmp_path / "0.npz", **arrays)
    full = fake(CONFIG, 3)
    assert available(tmp_path, full) == full
    found = next(NpzShards(tmp_path, full))
    order = np.argsort(found.source.image[:, 0, 0, 0])
    wanted = np.argsort(batch.source.image[:, 0, 0, 0])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[order], b[wanted]), found, batch)

    for name in [n for n in arrays if n.endswith("_flow") or n.startswith("source_")]:
        del arrays[name]
    np.savez(tmp_path / "0.npz", **arrays)
    less = available(tmp_path, full)
    assert less.source == type(less.source)(full.source.image)
    assert less.driver == full.driver
    assert less.targets == type(less.targets)(full.targets.pose_only, full.targets.dyn_only)
    assert next(NpzShards(tmp_path, less)).targets.dyn_only.shape == full.targets.dyn_only.shape
    del arrays["driver"]
    np.savez(tmp_path / "0.npz", **arrays)
    with pytest.raises(UserError, match="lacks the array 'driver'"):
        next(NpzShards(tmp_path, available(tmp_path, full)))
