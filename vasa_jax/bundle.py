"""A whole model as a value: its config, the parameters of its three networks, motion statistics.

On disk a bundle is a folder of two files, `config.json` and `model.safetensors`; this is the form
in which weights are shipped, exported from training and handed to `generate --checkpoint`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import vasa_jax
from vasa_jax import int8
from vasa_jax.audio import AudioEncoder, build_audio_encoder
from vasa_jax.bundle_places import FILES, resolve_folder
from vasa_jax.compile_cache import QUICK_COMPILE
from vasa_jax.config import DEFAULT_NAME, Config, from_dict, get_config
from vasa_jax.config.overrides import apply_overrides, to_dict
from vasa_jax.errors import UserError
from vasa_jax.extensions.build import build_face_model, build_motion_model, init_motion_model
from vasa_jax.face.model import FaceModel
from vasa_jax.media.files import PendingFolder
from vasa_jax.media.places import check_ours
from vasa_jax.motion.dit import MotionTransformer
from vasa_jax.motion.seen import SeenLabels, from_json
from vasa_jax.motion.stats import MotionStats
from vasa_jax.params import check_against, flatten, load_safetensors, save_safetensors, unflatten
from vasa_jax.typing import POSE_DIM

FORMATS = {"plain": 1, "int8": 2}
"""Of a bundle whose arrays are as they are, and of one whose kernels are packed."""
PARTS = ("face", "audio", "motion")


class Networks(NamedTuple):
    """The three networks of a config, without parameters."""

    face: FaceModel
    audio: AudioEncoder
    motion: MotionTransformer


class Bundle(NamedTuple):
    """A model ready to run. params: {'face': …, 'audio': …, 'motion': …}; trained: False if the
    parameters come from a seed; seen: the labels of the clips that the motion model learnt from,
    None where they are not known."""

    config: Config
    params: dict
    stats: MotionStats
    trained: bool
    seen: SeenLabels | None = None


def build_networks(config: Config, *, folded: bool = False) -> Networks:
    """The Linen modules of a config; `folded`: weight standardisation is in the parameters."""
    return Networks(
        face=build_face_model(config.face, config.dtype, folded),
        audio=build_audio_encoder(config.audio, config.dtype),
        motion=build_motion_model(config),
    )


def _init(config: Config, key: jax.Array) -> dict:
    networks = build_networks(config)
    keys = jax.random.split(key, len(PARTS))
    image = jnp.zeros(config.fake_image().shape)
    wave = jnp.zeros(config.fake_waveform().shape)
    return {
        "face": networks.face.init(keys[0], image, image)["params"],
        "audio": networks.audio.init(keys[1], wave)["params"],
        "motion": init_motion_model(config, keys[2])["params"],
    }


def abstract_params(config: Config) -> dict:
    """Shapes and types of every parameter, without memory."""
    return jax.eval_shape(lambda key: _init(config, key), jax.random.key(0))


_UNTRAINED_POSE_STD = (0.06, 0.06, 0.03, 0.03, 0.03, 0.02, 0.02)
"""Radians, half cubes, log scale: about what talking heads do. With 1 a seed's volume would tumble
out of the picture."""


def init_bundle(config: Config, seed: int = 0) -> Bundle:
    """Parameters drawn from a seed: the right structure, untrained."""
    # The default generator triples the time that compiling takes.
    key = jax.random.key(seed, impl="unsafe_rbg")
    params = jax.jit(lambda key: _init(config, key), compiler_options=QUICK_COMPILE)(key)
    std = np.ones(config.face.motion_dim, np.float32)
    std[:POSE_DIM] = _UNTRAINED_POSE_STD
    return Bundle(config, params, MotionStats(np.zeros_like(std), std), trained=False)


def check_bundle_place(folder: Path) -> None:
    """Raise UserError where a bundle would replace anything but a bundle."""

    def known(found: Path) -> bool:
        header = json.loads((found / FILES[0]).read_text())
        return {"format", "config"} <= set(header) and {f.name for f in found.iterdir()} <= {*FILES}

    check_ours(Path(folder), "bundle of `vasa-jax export` alone", known)


def save_bundle(folder: Path, bundle: Bundle, dtype: jnp.dtype = jnp.float32) -> None:
    """Write a bundle, parameters as `dtype`; the folder appears whole or not at all, in place of an
    older bundle. int8: kernels packed (`vasa_jax.int8`), the rest as bfloat16."""
    folder = Path(folder)
    check_bundle_place(folder)
    config, weights = FILES
    with PendingFolder(folder, "checkpoint") as pending:
        try:
            flat, packed = flatten(bundle.params), dtype == jnp.int8
            if packed:
                flat = int8.pack(flat, jnp.bfloat16)
            else:
                flat = {k: jnp.asarray(v).astype(dtype) for k, v in flat.items()}
            # Statistics stay float32: they scale every generated frame.
            flat |= {f"stats/{k}": np.asarray(v) for k, v in bundle.stats._asdict().items()}
            save_safetensors(pending.temporary / weights, flat, {"config": bundle.config.name})
            header = {
                "format": FORMATS["int8" if packed else "plain"],
                "version": vasa_jax.__version__,
                "trained": bundle.trained,
                "config": to_dict(bundle.config),
            }
            if bundle.seen is not None:
                header["labels"] = bundle.seen.to_json()
            (pending.temporary / config).write_text(json.dumps(header, indent=1) + "\n")
        except OSError as error:
            raise UserError(f"{folder}: cannot write the checkpoint ({error})") from None
        pending.commit()


def read_header(folder: Path, name: str | None, overrides: Sequence[str]) -> tuple[Config, bool]:
    """The config of a bundle with `overrides` applied, and whether its weights were trained.

    Raises UserError for a missing folder, an unreadable header, or another config's checkpoint.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such checkpoint folder; give the folder that holds "
            "config.json and model.safetensors"
        )
    try:
        header = json.loads((folder / "config.json").read_text())
        stored = from_dict(header["config"])
    except FileNotFoundError:
        raise UserError(
            f"{folder}: holds no config.json, so it is not a checkpoint of vasa-jax"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise UserError(f"{folder}/config.json: unreadable ({error!r:.120})") from None
    if header.get("format") not in FORMATS.values():
        raise UserError(
            f"{folder}: checkpoint format {header.get('format')} is not known here; "
            "use the vasa-jax version that wrote it"
        )
    if name is not None and name != stored.name:
        raise UserError(
            f"{folder}: is a checkpoint of config {stored.name!r}, not of {name!r}; "
            f"pass --config {stored.name}"
        )
    return apply_overrides(stored, overrides), bool(header.get("trained", True))


def load_bundle(folder: Path, name: str | None = None, overrides: Sequence[str] = ()) -> Bundle:
    """Read a bundle and check it.

    The stored config rules; `name`, if given, must be its name, and `overrides` (`a.b=c`) change
    keys that do not change parameters, such as sampler steps. Raises UserError for a missing
    folder, foreign or truncated files, another config's checkpoint, and mismatched shapes.
    """
    folder = Path(folder)
    config, trained = read_header(folder, name, overrides)
    weights = folder / "model.safetensors"
    flat = int8.unpack(load_safetensors(weights), str(weights))
    dim = (config.face.motion_dim,)
    expected = flatten(abstract_params(config)) | {
        f"stats/{k}": jax.ShapeDtypeStruct(dim, jnp.float32) for k in MotionStats._fields
    }
    check_against(flat, expected, str(weights))
    tree = unflatten(flat)
    stats = MotionStats(**tree.pop("stats"))
    # All at once: one by one they would take a second of each start.
    seen = from_json(json.loads((folder / "config.json").read_text()).get("labels"))
    return Bundle(config, jax.device_put(tree), stats, trained=trained, seen=seen)


def resolve_config(
    name: str | None, checkpoint: Path | None = None, overrides: Sequence[str] = ()
) -> Config:
    """The config of `resolve_bundle`, without reading weights."""
    base = get_config(name or DEFAULT_NAME, overrides)  # an unknown name or key fails here
    folder = resolve_folder(name, checkpoint)
    return base if folder is None else read_header(folder, name, overrides)[0]


def resolve_bundle(
    name: str | None, checkpoint: Path | None = None, overrides: Sequence[str] = (), seed: int = 0
) -> Bundle:
    """The bundle for a run: the given checkpoint, else shipped weights, else drawn from `seed`."""
    folder = resolve_folder(name, checkpoint)
    if folder is not None:
        return load_bundle(folder, name, overrides)
    return init_bundle(get_config(name or DEFAULT_NAME, overrides), seed)
