"""Published weights of Wav2Vec2 and Whisper to our parameter trees, checked by name."""

import json
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.audio.ctranslate2 import load_ctranslate2
from vasa_jax.audio.protocol import AudioEncoder
from vasa_jax.audio.wav2vec2 import Wav2Vec2Encoder, Wav2Vec2Shape
from vasa_jax.audio.whisper import WhisperEncoder, WhisperShape
from vasa_jax.errors import UserError
from vasa_jax.params import flatten, load_safetensors, unflatten
from vasa_jax.typing import SAMPLE_RATE

Table = dict[str, tuple[str, tuple[int, ...]]]
"""Published name -> our name, and the order of its axes in ours."""

_DENSE, _CONV = (1, 0), (2, 1, 0)
_WAV2VEC2_HEADS = (
    "masked_spec_embed",
    "lm_head.",
    "quantizer.",
    "project_q.",
    "project_hid.",
    "projector.",
    "classifier.",
    "layer_weights",
)
_WHISPER_HEADS = ("decoder.", "model.decoder.", "proj_out.")


def load_audio_weights(encoder: AudioEncoder, path: Path | str) -> dict:
    """Parameters of a Wav2Vec2 or Whisper encoder from a published file.

    path: a Hugging Face model.safetensors or, for Whisper, a CTranslate2 model.bin. A config.json
    beside a safetensors file must describe the same network.
    Raises UserError for an unreadable file, a missing, unknown or misshapen array (naming it), or
    another network.
    """
    path = Path(path)
    if isinstance(encoder, Wav2Vec2Encoder):
        arrays = load_safetensors(path)
        _check_shape(path, encoder.shape)
        return wav2vec2_params(encoder, arrays, str(path))
    if isinstance(encoder, WhisperEncoder):
        if path.suffix == ".safetensors":
            arrays = load_safetensors(path)
            _check_shape(path, encoder.shape)
        else:
            arrays = load_ctranslate2(path)
        return whisper_params(encoder, arrays, str(path))
    raise UserError(
        f"{path}: {type(encoder).__name__} has no published weights; it is trained "
        "together with the motion model and lives in its checkpoint"
    )


def wav2vec2_params(encoder: Wav2Vec2Encoder, arrays: Mapping[str, np.ndarray], where: str) -> dict:
    """Parameters from Hugging Face's names, with or without the prefix `wav2vec2.`.

    Both spellings of the weight-normalised convolution are read and folded into one kernel.
    """
    arrays = {k.removeprefix("wav2vec2."): v for k, v in arrays.items()}
    arrays = {k: v for k, v in arrays.items() if not k.startswith(_WAV2VEC2_HEADS)}
    _fold_weight_norm(arrays, "encoder.pos_conv_embed.conv", where)
    return _place(encoder, arrays, _wav2vec2_table(encoder.shape), where)


def whisper_params(encoder: WhisperEncoder, arrays: Mapping[str, np.ndarray], where: str) -> dict:
    """Parameters from Hugging Face's names, with or without `model.` and `encoder.` in front."""
    arrays = {k: v for k, v in arrays.items() if not k.startswith(_WHISPER_HEADS)}
    arrays = {k.removeprefix("model.").removeprefix("encoder."): v for k, v in arrays.items()}
    return _place(encoder, arrays, _whisper_table(encoder.shape), where)


def abstract_params(encoder: AudioEncoder) -> dict:
    """The shapes of an encoder's parameters; allocates nothing."""
    waveform = jax.ShapeDtypeStruct((1, SAMPLE_RATE), jnp.float32)
    return jax.eval_shape(encoder.init, jax.random.key(0), waveform)["params"]


def _place(
    encoder: AudioEncoder, arrays: Mapping[str, np.ndarray], table: Table, where: str
) -> dict:
    kind = type(encoder).__name__
    missing, unknown = sorted(set(table) - set(arrays)), sorted(set(arrays) - set(table))
    if missing:
        raise UserError(
            f"{where}: lacks {len(missing)} arrays that {kind} needs, first "
            f"{missing[0]!r}; it holds another network or variant"
        )
    if unknown:
        raise UserError(
            f"{where}: holds {len(unknown)} arrays that {kind} has no place for, first "
            f"{unknown[0]!r}; it holds another network or variant"
        )
    expected, flat = flatten(abstract_params(encoder)), {}
    for source, (name, axes) in table.items():
        want = expected[name].shape
        published = tuple(want[axes.index(i)] for i in range(len(axes)))
        if arrays[source].shape != published:
            raise UserError(
                f"{where}: {source!r} has shape {arrays[source].shape}, but {kind} "
                f"needs {published}; it holds another variant"
            )
        flat[name] = np.ascontiguousarray(arrays[source].astype(np.float32).transpose(axes))
    return unflatten(flat)


def _fold_weight_norm(arrays: dict[str, np.ndarray], name: str, where: str) -> None:
    """Replace magnitude g and direction v by g * v / |v|, |v| taken for each kernel position."""
    for g, v in (
        ("weight_g", "weight_v"),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ):
        g, v = f"{name}.{g}", f"{name}.{v}"
        if g in arrays and v in arrays:
            magnitude, direction = arrays.pop(g), arrays.pop(v).astype(np.float32)
            if direction.ndim != 3 or magnitude.shape != (1, 1, direction.shape[2]):
                raise UserError(
                    f"{where}: {g!r} has shape {magnitude.shape}, but {v!r} with shape "
                    f"{direction.shape} needs (1, 1, {direction.shape[-1]})"
                )
            norm = np.sqrt((direction**2).sum((0, 1), keepdims=True))
            arrays[f"{name}.weight"] = magnitude * direction / norm


def _dense(source: str, name: str, bias: bool = True) -> Table:
    table = {f"{source}.weight": (f"network/{name}/kernel", _DENSE)}
    return table | ({f"{source}.bias": (f"network/{name}/bias", (0,))} if bias else {})


def _conv(source: str, name: str, bias: bool = True) -> Table:
    table = {f"{source}.weight": (f"network/{name}/kernel", _CONV)}
    return table | ({f"{source}.bias": (f"network/{name}/bias", (0,))} if bias else {})


def _norm(source: str, name: str) -> Table:
    return {
        f"{source}.weight": (f"network/{name}/scale", (0,)),
        f"{source}.bias": (f"network/{name}/bias", (0,)),
    }


def _wav2vec2_table(shape: Wav2Vec2Shape) -> Table:
    table: Table = {}
    for i in range(len(shape.conv_dim)):
        source = f"feature_extractor.conv_layers.{i}"
        table |= _conv(f"{source}.conv", f"convs_{i}", shape.conv_bias)
        if i == 0 or shape.feat_extract_norm == "layer":
            table |= _norm(f"{source}.layer_norm", f"conv_norms_{i}")
    table |= _norm("feature_projection.layer_norm", "feature_norm")
    table |= _dense("feature_projection.projection", "projection")
    table |= _conv("encoder.pos_conv_embed.conv", "positions")
    table |= _norm("encoder.layer_norm", "norm")
    for i in range(shape.num_hidden_layers):
        source, name = f"encoder.layers.{i}", f"layers_{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            table |= _dense(f"{source}.attention.{part}", f"{name}/attention/{part}")
        table |= _norm(f"{source}.layer_norm", f"{name}/attention_norm")
        table |= _dense(f"{source}.feed_forward.intermediate_dense", f"{name}/up")
        table |= _dense(f"{source}.feed_forward.output_dense", f"{name}/down")
        table |= _norm(f"{source}.final_layer_norm", f"{name}/feed_norm")
    return table


def _whisper_table(shape: WhisperShape) -> Table:
    table: Table = {"embed_positions.weight": ("network/positions", (0, 1))}
    table |= _conv("conv1", "conv1") | _conv("conv2", "conv2") | _norm("layer_norm", "norm")
    for i in range(shape.encoder_layers):
        source, name = f"layers.{i}", f"layers_{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            table |= _dense(
                f"{source}.self_attn.{part}", f"{name}/attention/{part}", part != "k_proj"
            )
        table |= _norm(f"{source}.self_attn_layer_norm", f"{name}/attention_norm")
        table |= _dense(f"{source}.fc1", f"{name}/up") | _dense(f"{source}.fc2", f"{name}/down")
        table |= _norm(f"{source}.final_layer_norm", f"{name}/feed_norm")
    return table


def _check_shape(path: Path, shape: Wav2Vec2Shape | WhisperShape) -> None:
    """Compare with a config.json beside the weights: head counts and norm order leave no trace in
    the arrays' shapes, so only the config can tell a variant apart that would load and be wrong."""
    config = path.with_name("config.json")
    if not config.is_file():
        return
    try:
        data = json.loads(config.read_text())
        found = type(shape).from_json(data)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{config}: not a model's config.json ({error})") from None
    for key, value in vars(shape).items():
        if getattr(found, key) != value:
            raise UserError(
                f"{config}: {key} is {getattr(found, key)!r}, but the config's audio "
                f"variant needs {value!r}; choose the matching audio.variant"
            )
