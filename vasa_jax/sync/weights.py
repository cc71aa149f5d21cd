"""The folder of weights of `av_sync`: `config.json` and `model.safetensors`."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vasa_jax.bundle_places import FILES, shipped_folder
from vasa_jax.config.overrides import to_dict
from vasa_jax.config.sync import SYNC_DEFAULT, SyncConfig, sync_from_dict
from vasa_jax.errors import UserError
from vasa_jax.network_folder import FORMAT, check_network_place, save_network
from vasa_jax.params import check_against, flatten, load_safetensors, unflatten
from vasa_jax.sync.model import LIP_FEATURES, SyncNetwork, sound_features

__all__ = ["SyncWeights", "check_sync_place", "load_sync", "save_sync"]

KIND, WHAT = "av_sync", "a sync network"


class SyncWeights(NamedTuple):
    """A trained network, and the step of its training."""

    config: SyncConfig
    params: Any
    step: int


def check_sync_place(folder: Path) -> None:
    """Raise UserError where weights of a sync network would replace anything else."""
    check_network_place(folder, KIND, WHAT)


def save_sync(folder: Path, weights: SyncWeights, dtype: Any = jnp.float32) -> None:
    """Write the folder, whole or not at all, in place of an older one."""
    header = {"step": weights.step, "config": to_dict(weights.config)}
    save_network(folder, KIND, WHAT, header, flatten(weights.params), dtype)


def load_sync(folder: Path | str | None = None) -> SyncWeights:
    """The weights of a folder, default: the ones that ship.

    Raises UserError for folders that hold no sync network, and damaged files.
    """
    place = shipped_folder(SYNC_DEFAULT) if folder is None else Path(folder)
    try:
        header = json.loads((place / FILES[0]).read_text())
        if header["kind"] != KIND or header["format"] != FORMAT:
            raise ValueError("of another kind or format")
        config, step = sync_from_dict(header["config"]), int(header["step"])
    except UserError:
        raise
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{place}: holds no sync network ({error!r:.120}); give a folder of `vasa-jax export "
            "RUN`, RUN a run of `vasa-jax train sync`"
        ) from None
    flat = load_safetensors(place / FILES[1])
    check_against(flat, flatten(_shapes(config)), str(place / FILES[1]))
    return SyncWeights(config, unflatten(flat), step)


def _shapes(config: SyncConfig) -> Any:
    lips = jnp.zeros((1, 1, LIP_FEATURES))
    sounds = jnp.zeros((1, 1, sound_features(config.sync)))
    init = SyncNetwork(config.sync).init
    return jax.eval_shape(init, jax.random.key(0), lips, sounds)["params"]
