"""Initial parameters of the parts: shipped weights, and linear heads that invert the ARKit code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from recipes.demo.lease.parts import Part, Scale
from vasa_jax.bundle import abstract_params, init_bundle, load_bundle
from vasa_jax.bundle_places import resolve_folder
from vasa_jax.extensions.arkit_code import SCALE, eyes_in_head, fold_read_outs
from vasa_jax.extensions.arkit_regressor import INPUTS
from vasa_jax.params import check_against, flatten
from vasa_jax.typing import ARKIT, Float


def shipped_face(scale: Scale, checkpoint: Path | None) -> dict[str, Any]:
    """The face model's parameters, float32: of a bundle, else the shipped ones, else random ones
    where the config has none (the rehearsal)."""
    folder = resolve_folder(scale.model.name, checkpoint)
    bundle = init_bundle(scale.model, 0) if folder is None else load_bundle(folder)
    wanted = flatten(abstract_params(scale.model)["face"])
    check_against(flatten(bundle.params["face"]), wanted, f"the parameters in {folder}")
    return jax_to_numpy(bundle.params["face"])


def jax_to_numpy(tree: Any) -> Any:
    """A tree of arrays on the host, float32."""
    return jax.tree.map(lambda x: np.asarray(x, np.float32), tree)


def read_outs(
    dim: int, gaze: Float[np.ndarray, "n 2"], rotation: Float[np.ndarray, "n 3"]
) -> dict[str, Any]:
    """Linear heads "arkit" and "gaze" for a z_dyn that is the ARKit code: its inverse. The
    contribution of the head's rotation (radians) to gaze is a least-squares fit to labels."""
    eyes = np.asarray(eyes_in_head(jnp.asarray(gaze), jnp.asarray(rotation)))
    ones = np.ones((len(gaze), 1), np.float32)
    turned, *_ = np.linalg.lstsq(np.concatenate([rotation, ones], 1), gaze - eyes, rcond=None)
    back = np.eye(dim, dtype=np.float32) / SCALE
    count = len(ARKIT)
    arkit = {"kernel": back[:, :count], "bias": np.zeros(count, np.float32)}
    kernel = np.concatenate([back[:, count:INPUTS], turned[:3]]).astype(np.float32)
    return {
        "arkit": {"Dense_0": arkit},
        "gaze": {"Dense_0": {"kernel": kernel, "bias": turned[3].astype(np.float32)}},
    }


def params_of(part: Part, face: Mapping[str, Any], heads: Mapping[str, Any]) -> dict[str, Any]:
    """`TrainState.params` of a part's task. heads: `read_outs`."""
    if part.kind == "generator":
        return {"face": dict(face)}
    return {"face": {part.kind: face[part.kind]}, **(heads if part.kind == "dyn" else {})}


def gate_params(part: Part, face: Mapping[str, Any], ema: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters for a part's check. face: the whole model's; ema: averages of what it trains."""
    if part.kind == "dyn":
        dyn = {"pose": face["pose"], "dyn": ema["face"]["dyn"]}
        return {"face": dyn, "arkit": ema["arkit"], "gaze": ema["gaze"]}
    return {"face": ema["face"]}


def laid_over(part: Part, face: Mapping[str, Any], ema: Mapping[str, Any]) -> dict[str, Any]:
    """The face model with the parameters that a part trained, numpy float32."""
    trained = jax_to_numpy(ema)
    if part.kind == "dyn":
        trained = fold_read_outs(trained)
    return {**face, **trained["face"]}
