"""Held-out check of stage 1, in a minute: pose and ARKit error, and PSNR of rendered transfers.

Losses alone do not show a face that never moves. This does: it compares transfers with copies of
the source, and the motion of the output with that of the targets.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.config import Config
from vasa_jax.evaluation.image_metrics import psnr
from vasa_jax.extensions.arkit_code import batch_motions
from vasa_jax.extensions.build import build_face_model
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.forward import bind, decode_each
from vasa_jax.typing import ARKIT, Float, Image, Motion

LEAST_SPREAD = 0.02
"""Coefficients of a smaller standard deviation are not counted."""
POSE_DEGREES, ARKIT_R2 = 3.0, 0.7


def encoder_figures(
    motion: Motion,
    heads: Mapping[str, Any],
    rotation: Float[np.ndarray, "n 3"],
    arkit: Float[np.ndarray, "n 52"],
) -> dict[str, float]:
    """`pose_deg`: mean absolute error of the angles, degrees. `arkit_r2`: R2 of all moving
    coefficients together, `arkit_r2_median` of the median one, and of some by name.

    heads: the trainer's linear heads by name; without "arkit" only the pose is measured.
    """
    error = np.degrees(np.abs(np.asarray(motion.pose.rotation) - rotation))
    figures = {"pose_deg": float(error.mean())}
    figures |= {
        f"{n}_deg": float(e) for n, e in zip(("pitch", "yaw", "roll"), error.mean(0), strict=True)
    }
    if "arkit" not in heads:
        return figures
    layer = heads["arkit"]["Dense_0"]
    read = np.asarray(motion.dyn) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
    spread, missed = arkit.var(0), ((read - arkit) ** 2).mean(0)
    moving = spread > LEAST_SPREAD**2
    r2 = 1 - missed / np.maximum(spread, 1e-12)
    figures["arkit_r2"] = float(1 - missed[moving].sum() / spread[moving].sum())
    figures["arkit_r2_median"] = float(np.median(r2[moving]))
    for name in ("jawOpen", "eyeBlinkLeft", "mouthPucker", "mouthSmileLeft"):
        if moving[ARKIT.index(name)]:
            figures[f"arkit_r2.{name}"] = float(r2[ARKIT.index(name)])
    return figures


def generator_figures(
    pictures: Mapping[str, Float[np.ndarray, "n h w 3"]], batch: FaceBatch
) -> dict[str, float]:
    """PSNR (dB) of transfers against their targets, and of a copy of the source in their place.

    pictures: the outputs "swap", "pose_only", "dyn_only" and "itself", the reconstructed source.
    `sensitivity`: change of the output when only the expression changes, over that of the target
    (root mean squares; 1 is right, 0 a face that never moves). `expression_missed`: error weighted
    by the target's change under the expression; 1 for a copy of the source. Raises ValueError for a
    batch without transfer targets.
    """
    if batch.targets is None:
        raise ValueError("a batch without the targets of pose-only and expression-only transfers")
    pose_only, dyn_only = batch.targets.pose_only, batch.targets.dyn_only
    targets = {"swap": batch.driver.image, "pose_only": pose_only, "dyn_only": dyn_only}
    figures = {}
    for name, target in targets.items():
        figures[f"{name}_psnr"] = _mean_psnr(pictures[name], target)
        figures[f"{name}_copy_psnr"] = _mean_psnr(batch.source.image, target)
    moved = _rms(pictures["dyn_only"] - pictures["itself"])
    figures["sensitivity"] = moved / _rms(dyn_only - batch.source.image)
    change = np.abs(dyn_only - batch.source.image)
    missed = np.abs(pictures["dyn_only"] - dyn_only)
    figures["expression_missed"] = float((change * missed).sum() / (change * change).sum())
    return figures


def measure(
    config: Config,
    params: Mapping[str, Any],
    batches: list[FaceBatch],
    read: bool = True,
    draw: bool = True,
    run_encode: Callable[..., Motion] | None = None,
    run_transfers: Callable[..., dict[str, Image]] | None = None,
) -> dict[str, float]:
    """The figures of encoders (read) and generator (draw) on held-out swaps.

    params: of a trainer's state: "face", and heads. The generator is driven by exact codes where
    `train_face.arkit_code` is on. run_encode, run_transfers: `encode` and `transfers` of the
    config, where they are compiled already.
    """
    face, whole = params["face"], jax.tree.map(_join, *batches)
    figures: dict[str, float] = {}
    if read:
        encoded = run_encode or jax.jit(partial(encode, config))
        # All sources, then all drivers.
        views = [b.source.view for b in batches] + [b.driver.view for b in batches]
        motion = jax.tree.map(_join, *(encoded(face, view) for view in views))
        rotation = _join(whole.source.pose.rotation, whole.driver.pose.rotation)
        arkit = _join(whole.source.arkit, whole.driver.arkit)
        heads = {name: value for name, value in params.items() if name != "face"}
        figures |= encoder_figures(motion, heads, rotation, arkit)
    if draw:
        transferred = run_transfers or jax.jit(partial(transfers, config))
        # On the host one by one: all of them would fill the device.
        drawn = [jax.device_get(transferred(face, batch)) for batch in batches]
        figures |= generator_figures(jax.tree.map(_join, *drawn), whole)
    return figures


def encode(config: Config, face: Mapping[str, Any], image: Image) -> Motion:
    """Motion of images; without "dyn" in `face`, the head pose and a zero z_dyn."""
    model = build_face_model(config.face, config.dtype)
    if "dyn" in face:
        motion: Any = model.apply({"params": face}, image, method="encode_motion")
        return motion
    pose: Any = model.apply({"params": face}, image, method="encode_pose")
    return Motion(pose, jnp.zeros((len(image), config.face.dyn_dim)))


def transfers(config: Config, face: Mapping[str, Any], batch: FaceBatch) -> dict[str, Image]:
    """The four outputs of every example by name, as `generator_figures` takes them."""
    run = bind(build_face_model(config.face, config.dtype), {"params": face})
    a, b = batch_motions(config, batch, run.encode_motion)
    mixed = {
        "itself": a,
        "swap": b,
        "pose_only": Motion(b.pose, a.dyn),
        "dyn_only": Motion(a.pose, b.dyn),
    }
    source, scan = run.encode_source(batch.source.image, a), config.train_face.scan_decodes
    drawn = decode_each(run, source, mixed, scan)
    return {name: parts.image for name, parts in drawn.items()}


def _join(*arrays):
    return np.concatenate(arrays)


def _mean_psnr(a, b):
    to_bytes = lambda x: np.round(np.clip(x, 0, 1) * 255).astype(np.uint8)  # noqa: E731
    return float(psnr(to_bytes(a), to_bytes(b)).mean())


def _rms(x):
    return float(jnp.sqrt(jnp.mean(jnp.square(x))))
