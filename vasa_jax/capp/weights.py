"""CAPP's folder of weights: `config.json` and `model.safetensors`."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vasa_jax import zoo
from vasa_jax.audio.weights import load_audio_weights
from vasa_jax.bundle_places import FILES, shipped_folder
from vasa_jax.capp.network import build_capp
from vasa_jax.capp.windows import capp_batch_struct
from vasa_jax.config.capp import CAPP_DEFAULT, CappConfig, capp_from_dict
from vasa_jax.config.overrides import to_dict
from vasa_jax.errors import UserError
from vasa_jax.network_folder import FORMAT, check_network_place, save_network
from vasa_jax.params import check_against, flatten, load_safetensors, unflatten

KIND = "capp"


class CappWeights(NamedTuple):
    """A trained network. step: of the training; encoder: sha256 of the file that its frozen speech
    network came from, None where that network is in the parameters."""

    config: CappConfig
    params: dict[str, Any]
    step: int
    encoder: str | None = None


def abstract_capp(config: CappConfig) -> dict[str, Any]:
    """Shapes of all parameters, without memory."""
    batch, network = capp_batch_struct(config, 1), build_capp(config)
    made = jax.eval_shape(network.init, jax.random.key(0), batch.rotation, batch.waveform)
    return made["params"]


def pretrained_encoder(
    config: CappConfig, path: Path | None = None
) -> tuple[dict[str, Any], str] | None:
    """Parameters of the config's speech network and the sha256 of the file, None for mel.

    path: the file; default: the zoo's, where its cache has it. Raises UserError where there is
    none.
    """
    if config.audio.encoder == "mel":
        if path is not None:
            raise UserError("--audio-weights: audio.encoder=mel has no pretrained weights")
        return None
    name = f"{config.audio.encoder}-{config.audio.variant}"
    if path is None:
        known = [w.name for w in zoo.weights()] + [w.name for w in zoo.manual_weights()]
        if name not in known or not zoo.is_cached(name):
            raise UserError(
                f"CAPP's speech network {name} is not here; give its file by --audio-weights, or "
                "fetch it by `vasa-jax weights`"
            )
        path = zoo.cached_path(name)
    encoder = build_capp(config).encoder
    params = load_audio_weights(encoder, path)
    with open(path, "rb") as file:
        return params, hashlib.file_digest(file, "sha256").hexdigest()


def check_capp_place(folder: Path) -> None:
    """Raise UserError where weights of CAPP would replace anything else."""
    check_network_place(folder, KIND, "CAPP")


def save_capp(folder: Path, weights: CappWeights, dtype: Any = jnp.float32) -> None:
    """Write the folder, whole or not at all, in place of an older one. A frozen speech network is
    left out: `load_capp` takes it from where it was taken before."""
    flat = flatten(weights.params)
    if weights.encoder is not None:
        flat = _without_encoder(flat)
    header = {
        "step": weights.step,
        "encoder": weights.encoder,
        "config": to_dict(weights.config),
    }
    save_network(folder, KIND, "CAPP", header, flat, dtype)


def load_capp(folder: Path | str | None = None, audio_weights: Path | None = None) -> CappWeights:
    """The weights of a folder, default: the ones that ship (`capp_synthetic`).

    audio_weights: the file of a frozen speech network, default: the zoo's. Raises UserError for
    folders that hold no CAPP, damaged files, and another speech network than that of training.
    """
    place = shipped_folder(CAPP_DEFAULT) if folder is None else Path(folder)
    if not (place / FILES[0]).is_file():
        raise UserError(
            f"{place}: holds no {FILES[0]}, so it is no CAPP; give a folder of "
            "`vasa-jax export RUN`"
        )
    try:
        header = json.loads((place / FILES[0]).read_text())
        if header.get("kind") != KIND or header.get("format") != FORMAT:
            raise UserError(
                f"{place}: holds no CAPP of this version's format; give a folder of "
                "`vasa-jax export RUN`, RUN a run of `vasa-jax train capp`"
            )
        config, step = capp_from_dict(header["config"]), int(header["step"])
        encoder = header["encoder"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{place / FILES[0]}: unreadable ({error!r:.120})") from None
    flat = load_safetensors(place / FILES[1])
    expected = flatten(abstract_capp(config))
    check_against(
        flat, expected if encoder is None else _without_encoder(expected), str(place / FILES[1])
    )
    params = unflatten(flat)
    if encoder is not None:
        params = _with_encoder(config, params, encoder, audio_weights, place)
    return CappWeights(config, params, step, encoder)


def _with_encoder(config, params, wanted, path, place):
    found = pretrained_encoder(config, path)
    if found is None or found[1] != wanted:
        raise UserError(
            f"{place}: was trained with another file of {config.audio.encoder} "
            f"{config.audio.variant} (sha256 {wanted[:16]}…); give that by --audio-weights"
        )
    return params | {"encoder": found[0]}


def _without_encoder(flat: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flat.items() if not name.startswith("encoder/")}
