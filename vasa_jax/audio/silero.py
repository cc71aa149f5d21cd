"""Silero's voice activity network at 16 kHz (silero-vad, MIT), and the segments of speech by it.

A step sees 512 samples and the 64 before them: magnitudes of a learned Fourier transform, four
convolutions, one LSTM cell whose state goes on from step to step. torch is not needed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax import zoo
from vasa_jax.errors import UserError, require_modules
from vasa_jax.typing import SAMPLE_RATE, Array, Float

STEP, CONTEXT, PAD = 512, 64, 64  # samples
WIDTH = 128
"""Of the LSTM's state."""
BLOCK = 1024
"""Steps (33 s) that are computed by one call."""
THRESHOLD, EXIT = 0.5, 0.35
"""Probabilities at which speech begins and below which it ends (silero-vad's defaults)."""
MIN_SPEECH, MIN_SILENCE, MARGIN = 4000, 1600, 480
"""Samples: of a segment, of a pause that ends one, and by which a segment is widened."""
_BINS = 129
_STRIDES = {"conv1": 1, "conv2": 2, "conv3": 2, "conv4": 1}

_NAMES = {
    "stft/kernel": "model.stft.forward_basis_buffer",
    **{
        f"conv{i + 1}/{ours}": f"model.encoder.{i}.reparam_conv.{theirs}"
        for i in range(4)
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
    },
    "lstm/input": "model.decoder.rnn.weight_ih",
    "lstm/hidden": "model.decoder.rnn.weight_hh",
    "lstm/input_bias": "model.decoder.rnn.bias_ih",
    "lstm/hidden_bias": "model.decoder.rnn.bias_hh",
    "head/kernel": "model.decoder.decoder.2.weight",
    "head/bias": "model.decoder.decoder.2.bias",
}

Params = dict[str, Array]
Segments = list[tuple[float, float]]
"""Speech as (start, end) in seconds."""


def load(path: Path) -> Params:
    """Parameters from silero_vad_16k_op15.onnx, the weights that `load_silero_vad()` gives.

    (The safetensors file beside it in version 6.2.3 holds those of an older version.) Raises
    UserError for another file, and without onnx.
    """
    require_modules("onnx")
    import onnx
    from onnx.numpy_helper import to_array

    try:
        graph = onnx.load_model_from_string(path.read_bytes()).graph
        arrays = dict(_constants(graph, to_array))
        params = {ours: arrays[theirs] for ours, theirs in _NAMES.items()}
        if params["stft/kernel"].shape != (2 * _BINS, 1, 256):
            raise KeyError(_NAMES["stft/kernel"])
    except Exception as error:  # protobuf raises its own
        raise UserError(f"{path}: is not silero_vad_16k_op15.onnx ({error})") from None
    return {name: jnp.asarray(value) for name, value in params.items()}


def _constants(graph: Any, to_array: Callable[[Any], np.ndarray]) -> Iterator[tuple[str, Any]]:
    """Constants of a graph and of the graphs in its nodes, by name."""
    for tensor in graph.initializer:
        yield tensor.name, to_array(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                yield node.output[0], to_array(attribute.t)
            if attribute.HasField("g"):
                yield from _constants(attribute.g, to_array)


def _conv(x: Float[Array, "b c t"], kernel: Array, stride: int, pad: int) -> Float[Array, "b d u"]:
    layout = ("NCH", "OIH", "NCH")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride,), [(pad, pad)], dimension_numbers=layout
    )


def features(params: Params, chunks: Float[Array, "b 576"]) -> Float[Array, "b 128"]:
    """What the LSTM sees of each step's samples and their context."""
    x = jnp.pad(chunks, ((0, 0), (0, PAD)), "reflect")[:, None]
    x = _conv(x, params["stft/kernel"], 128, 0)
    x = jnp.sqrt(jnp.square(x[:, :_BINS]) + jnp.square(x[:, _BINS:]))
    for name, stride in _STRIDES.items():
        x = _conv(x, params[f"{name}/kernel"], stride, 1) + params[f"{name}/bias"][:, None]
        x = jax.nn.relu(x)
    return x[..., 0]


@jax.jit
def _block(
    params: Params, state: tuple[Array, Array], chunks: Float[Array, "b 576"]
) -> tuple[tuple[Array, Array], Float[Array, " b"]]:
    """States after the steps, and the probability of speech in each."""
    bias = params["lstm/input_bias"] + params["lstm/hidden_bias"]
    inputs = features(params, chunks) @ params["lstm/input"].T + bias

    def step(state: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], Array]:
        h, c = state
        i, f, g, o = jnp.split(x + params["lstm/hidden"] @ h, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    state, hidden = jax.lax.scan(step, state, inputs)
    logits = jax.nn.relu(hidden) @ params["head/kernel"][0, :, 0] + params["head/bias"]
    return state, jax.nn.sigmoid(logits)


def probabilities(params: Params, waveform: Float[np.ndarray, " n"]) -> Float[np.ndarray, " steps"]:
    """Probability of speech in every 512 samples, the last ones filled with zeros."""
    steps = -(-len(waveform) // STEP)
    state = (jnp.zeros(WIDTH), jnp.zeros(WIDTH))
    found = []
    with jax.default_matmul_precision("highest"):
        for first in range(0, steps, BLOCK):
            start = first * STEP
            part = np.zeros(CONTEXT + BLOCK * STEP, np.float32)
            piece = waveform[max(start - CONTEXT, 0) : start + BLOCK * STEP]
            offset = CONTEXT - min(start, CONTEXT)
            part[offset : offset + len(piece)] = piece
            chunks = np.lib.stride_tricks.sliding_window_view(part, CONTEXT + STEP)[::STEP]
            state, spoken = _block(params, state, jnp.asarray(chunks))
            found.append(np.asarray(spoken)[: steps - first])
    return np.concatenate([np.zeros(0, np.float32), *found])


def speech_segments(spoken: Float[np.ndarray, " steps"], samples: int) -> Segments:
    """Segments of speech in seconds, as silero-vad's get_speech_timestamps with its defaults.

    They last 0.25 s or more, are parted by 0.1 s or more, widened by 30 ms, and rounded to tenths
    of a second, as theirs with return_seconds. samples: length of the sound.
    """
    found: list[list[int]] = []
    start, end = -1, -1
    for number, probability in enumerate(spoken):
        here = number * STEP
        if probability >= THRESHOLD:
            end = -1
            if start < 0:
                start = here
        elif probability < EXIT and start >= 0:
            end = here if end < 0 else end
            if here - end >= MIN_SILENCE:
                if end - start > MIN_SPEECH:
                    found.append([start, end])
                start, end = -1, -1
    if start >= 0 and samples - start > MIN_SPEECH:
        found.append([start, samples])
    return _widened(found, samples)


def _widened(found: list[list[int]], samples: int) -> Segments:
    for number, segment in enumerate(found):
        if number == 0:
            segment[0] = max(0, segment[0] - MARGIN)
        if number == len(found) - 1:
            segment[1] = min(samples, segment[1] + MARGIN)
            continue
        after = found[number + 1]
        gap = after[0] - segment[1]
        margin = gap // 2 if gap < 2 * MARGIN else MARGIN
        segment[1] += margin
        after[0] -= margin
    seconds = samples / SAMPLE_RATE
    tenths = [[round(x / SAMPLE_RATE, 1) for x in segment] for segment in found]
    return [(max(start, 0.0), min(end, seconds)) for start, end in tenths]


def voice_activity() -> Callable[[Float[np.ndarray, " n"]], Segments]:
    """A function from a waveform at 16 kHz to its segments of speech, with the zoo's weights.

    Raises UserError where they are neither here nor to be had.
    """
    params = load(zoo.ensure("silero-vad"))
    return lambda waveform: speech_segments(probabilities(params, waveform), len(waveform))
