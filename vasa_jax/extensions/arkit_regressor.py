"""Regression from ARKit coefficients and eye gaze to the z_dyn that the dynamics encoder gives
them, on average over people.

VASA-1 has video of everything that it learns. Synthetic motion is known as coefficients, without
images, and stage 2 trains on z_dyn: a regression on rendered faces connects them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vasa_jax.errors import UserError
from vasa_jax.params import load_safetensors, read_metadata, save_safetensors
from vasa_jax.typing import ARKIT, Array, Float, Int

KINDS = ("linear", "quadratic", "mlp")
INPUTS = len(ARKIT) + 2
_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of the inputs' variance; what does best on faces that were left out is taken."""
_FOLDS = 5
_PRODUCTS = 0.2
"""Scale of products of inputs: they are many, and take what the inputs themselves leave."""
_WIDTH, _BATCH, _RATE, _DECAY = 256, 256, 1e-3, 1e-1
_BLUR = 0.5
"""Noise on the MLP's inputs while it is trained, standard deviations: faces are few."""


class Codes(NamedTuple):
    """Codes of n pictures and what they show. eyes: line of sight in the head, yaw and pitch in
    radians (gaze of the same eyes in a head that faces the camera). face: pictures of one number
    show the same face and eyes on different people or in different poses."""

    dyn: Float[np.ndarray, "n m"]
    arkit: Float[np.ndarray, "n 52"]
    eyes: Float[np.ndarray, "n 2"]
    face: Int[np.ndarray, " n"]


class ReadIn(NamedTuple):
    """kind: one of `KINDS`. arrays: its parameters by name, float32."""

    kind: str
    arrays: dict[str, np.ndarray]

    def __call__(
        self, arkit: Float[np.ndarray, "n 52"], eyes: Float[np.ndarray, "n 2"]
    ) -> Float[np.ndarray, "n m"]:
        """z_dyn of n faces, float32."""
        inputs = np.concatenate([arkit, eyes], 1).astype(np.float32)
        return np.asarray(_predict(self.kind, self.arrays, inputs), np.float32)


def fit(codes: Codes, kind: str = "mlp", seed: int = 0, steps: int = 2000) -> ReadIn:
    """A read-in by least squares; the same arguments give the same one on the same machine.

    Every face counts once. linear, quadratic: ridge on the inputs, or on them and all their
    products. mlp: the linear fit and two hidden layers on top of it, by AdamW. Raises UserError for
    codes that are not finite.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    # Pictures of one face differ in what is not asked for: their mean is all that counts.
    dyn = _means(codes.face, codes.dyn)
    inputs = _means(codes.face, np.concatenate([codes.arkit, codes.eyes], 1))
    if not (np.isfinite(inputs).all() and np.isfinite(dyn).all()):
        raise UserError("codes or labels hold NaN or infinity; is the encoder's checkpoint whole?")
    spread = inputs.std(0)
    arrays = {
        "centre": inputs.mean(0),
        # A coefficient that never moves is not scaled up.
        "spread": np.where(spread > 1e-4, spread, 1.0),
    }
    rows = (inputs - arrays["centre"]) / arrays["spread"]
    rows = _quadratic(rows) if kind == "quadratic" else rows
    arrays["shift"] = rows.mean(0)
    rows = rows - arrays["shift"]
    arrays["bias"] = dyn.mean(0)
    arrays["kernel"] = _ridge(rows, dyn - arrays["bias"])
    arrays = {name: np.asarray(value, np.float32) for name, value in arrays.items()}
    if kind != "mlp":
        return ReadIn(kind, arrays)
    rest = dyn - arrays["bias"] - rows @ arrays["kernel"]
    # One scale for all of z_dyn: its dimensions keep their weights.
    scale = np.float32(max(float(rest.std()), 1e-8))
    rows, rest = rows.astype(np.float32), (rest / scale).astype(np.float32)
    layers = jax.device_get(_train(rows, rest, seed, steps))
    return ReadIn(kind, arrays | {"scale": np.array([scale])} | layers)


def choose(
    codes: Codes, held: Codes, kinds: Sequence[str] = KINDS, seed: int = 0, steps: int = 2000
) -> tuple[ReadIn, dict[str, dict[str, float]]]:
    """The kind that explains most of the held-out codes, and `explained` of every kind."""
    found = {kind: fit(codes, kind, seed, steps) for kind in kinds}
    figures = {kind: explained(read_in, held) for kind, read_in in found.items()}
    best = max(kinds, key=lambda kind: figures[kind]["faces"])
    return found[best], figures


def explained(read_in: ReadIn, held: Codes) -> dict[str, float]:
    """Shares of variance that a read-in explains, all dimensions pooled.

    pictures: of single pictures' codes, which also hold whatever the encoder tells of the person
    and the pose. faces: of the codes' mean over all pictures of a face. shown: the most that any
    function of face and eyes could explain of the pictures.
    """
    guess = read_in(held.arkit, held.eyes)
    truth = _means(held.face, held.dyn)

    def share(error, values):
        return float(1 - np.square(error).sum() / np.square(values - values.mean(0)).sum())

    return {
        "pictures": share(held.dyn - guess, held.dyn),
        "faces": share(truth - _means(held.face, guess), truth),
        "shown": share(held.dyn - truth[_places(held.face)], held.dyn),
    }


def save_read_in(path: Path, read_in: ReadIn) -> None:
    """One safetensors file."""
    save_safetensors(path, read_in.arrays, {"kind": read_in.kind, "of": "read-in"})


def load_read_in(path: Path) -> ReadIn:
    """Raises UserError for a file that is no read-in."""
    arrays = load_safetensors(path)
    kind = read_metadata(path).get("kind", "")
    if kind not in KINDS or "centre" not in arrays or arrays["centre"].shape != (INPUTS,):
        raise UserError(f"{path}: holds no read-in from faces to z_dyn; fit one to this encoder")
    return ReadIn(kind, arrays)


def _places(face):
    return np.unique(face, return_inverse=True)[1]


def _means(face, values):
    """The mean of all rows of each face, float64."""
    place = _places(face)
    counts = np.bincount(place)[:, None]
    total = np.zeros((len(counts), values.shape[1]))
    np.add.at(total, place, values)
    return total / counts


def _ridge(rows, dyn):
    """The kernel with the best of `_RIDGES`, by leaving out every fifth row in turn."""
    size = len(rows)
    fold = np.arange(size) % _FOLDS

    def solve(kept, ridge):
        gram = rows[kept].T @ rows[kept] + ridge * kept.sum() * np.eye(rows.shape[1])
        return np.linalg.solve(gram, rows[kept].T @ dyn[kept])

    def error(ridge):
        left_out = (fold == k for k in range(_FOLDS))
        return sum(np.square(dyn[o] - rows[o] @ solve(~o, ridge)).sum() for o in left_out)

    return solve(np.ones(size, bool), min(_RIDGES, key=error))


def _quadratic(rows):
    first, second = np.triu_indices(rows.shape[1])
    return np.concatenate([rows, _PRODUCTS * rows[:, first] * rows[:, second]], 1)


def _predict(kind, arrays, inputs):
    rows = (inputs - arrays["centre"]) / arrays["spread"]
    rows = (_quadratic(rows) if kind == "quadratic" else rows) - arrays["shift"]
    out = arrays["bias"] + rows @ arrays["kernel"]
    if kind == "mlp":
        out = out + arrays["scale"] * np.asarray(_hidden(arrays, rows))
    return out


@jax.jit
def _hidden(layers: dict, rows: Float[Array, "n i"]) -> Float[Array, "n m"]:
    for name in ("first", "second"):
        rows = jax.nn.gelu(rows @ layers[f"{name}_kernel"] + layers[f"{name}_bias"])
    return rows @ layers["last_kernel"]


def _train(rows, rest, seed: int, steps: int) -> dict:
    """Layers that bring `rest` out of `rows`; the last one starts at zero."""
    keys = jax.random.split(jax.random.key(seed), 3)
    initial = jax.nn.initializers.lecun_normal()
    layers = {
        "first_kernel": initial(keys[0], (rows.shape[1], _WIDTH)),
        "first_bias": jnp.zeros(_WIDTH),
        "second_kernel": initial(keys[1], (_WIDTH, _WIDTH)),
        "second_bias": jnp.zeros(_WIDTH),
        "last_kernel": jnp.zeros((_WIDTH, rest.shape[1])),
    }
    optimizer = optax.adamw(optax.cosine_decay_schedule(_RATE, steps), weight_decay=_DECAY)

    @jax.jit
    def run(layers, rows, rest):
        def step(carry, key):
            layers, state = carry
            draw, blur = jax.random.split(key)
            at = jax.random.randint(draw, (_BATCH,), 0, len(rows))
            seen = rows[at] + _BLUR * jax.random.normal(blur, (_BATCH, rows.shape[1]))
            grads = jax.grad(lambda p: jnp.square(_hidden(p, seen) - rest[at]).mean())(layers)
            updates, state = optimizer.update(grads, state, layers)
            return (optax.apply_updates(layers, updates), state), None

        draws = jax.random.split(keys[2], steps)
        (layers, _), _ = jax.lax.scan(step, (layers, optimizer.init(layers)), draws)
        return layers

    return run(layers, rows, rest)
