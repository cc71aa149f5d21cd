"""Response of portraits to single ARKit coefficients: lips, lids and brows.

    python -m vasa_jax.evaluation.answers PORTRAITS [--checkpoint DIR] [-o FILE.json]

Each portrait is decoded in its own head pose with one ARKit coefficient set and all others 0, and
measured by the face mesh. For models whose z_dyn holds these coefficients
(`vasa_jax.extensions.arkit_code`).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.evaluation.model_calls import decode, encode_motion
from vasa_jax.evaluation.types import Model
from vasa_jax.extensions.arkit_code import SCALE, label_read_in
from vasa_jax.extensions.arkit_regressor import INPUTS
from vasa_jax.media.files import write_whole
from vasa_jax.media.folders import find_files
from vasa_jax.perception.face_statistics import CHIN, FOREHEAD, lip_gap, mouth_inside
from vasa_jax.perception.face_tracker import FaceTracker
from vasa_jax.signals import exit_with
from vasa_jax.typing import ARKIT, POSE_DIM, Float, PortraitArray

PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
JAWS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
"""Values of jawOpen, one frame each; the frame after them is a blink."""
PARTED = 0.02  # lip gap (of the face's height) above which a portrait's own lips count as open
# Mesh points: middles of the upper and lower lid of each eye, and the brow above each.
LIDS, LID_BROWS = ((159, 145), (386, 374)), (105, 334)


class Answer(NamedTuple):
    """Measurements of one portrait; lengths are shares of the face's height."""

    own_gap: float  # lip gap of the portrait itself
    gap: Float[np.ndarray, " j"]  # lip gap at each of `JAWS`
    contrast: Float[np.ndarray, " j"]  # `MouthInside.contrast`; NaN where the opening is too small
    visible: Float[np.ndarray, " j"]  # `MouthInside.visible`, likewise
    lids: float  # distance of the lids in the blink over that before it
    brow: float  # displacement of the brows by the blink


def commands() -> Float[np.ndarray, "k 52"]:
    """ARKit coefficients of each frame: `JAWS`, then both eyes closed."""
    arkit = np.zeros((len(JAWS) + 1, len(ARKIT)), np.float32)
    arkit[:-1, ARKIT.index("jawOpen")] = JAWS
    arkit[-1, [ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")]] = 1
    return arkit


def command_motion(own: Float[np.ndarray, " m"]) -> Float[np.ndarray, "k m"]:
    """[pose, z_dyn] of all commands, with the pose and gaze of the portrait's own motion."""
    arkit, pose, dyn = commands(), own[:POSE_DIM], own[POSE_DIM:]
    eyes = np.tile(dyn[len(ARKIT) : INPUTS] / SCALE, (len(arkit), 1))
    return np.concatenate(
        [np.tile(pose, (len(arkit), 1)), label_read_in(len(dyn))(arkit, eyes)], 1
    ).astype(np.float32)


def answer(model: Model, portrait: PortraitArray) -> Answer | None:
    """Measure a portrait of the model's size; None where no face is detected in a frame."""
    (own,) = encode_motion(model, portrait[None])
    frames = decode(model, portrait, command_motion(own))
    # Each frame gets a tracker of its own: they are not consecutive.
    landmarks = [FaceTracker(1)(image).landmarks for image in (portrait, *frames)]
    found = [marks for marks in landmarks if marks is not None]
    if len(found) < len(landmarks):
        return None
    return measure_answer(frames, np.stack(found).astype(np.float32))


def measure_answer(frames: np.ndarray, landmarks: Float[np.ndarray, "k 478 3"]) -> Answer:
    """Measurements of the frames of `commands`; landmarks: of the portrait, then of each frame."""
    gap = lip_gap(landmarks)
    commanded = landmarks[1:]
    insides = [mouth_inside(*pair) for pair in zip(frames[:-1], commanded[:-1], strict=True)]
    value = lambda name: np.array([np.nan if i is None else getattr(i, name) for i in insides])  # noqa: E731
    rest, blink = commanded[0, :, :2], commanded[-1, :, :2]
    height = np.linalg.norm(rest[FOREHEAD] - rest[CHIN])
    lids = [
        np.linalg.norm(blink[a] - blink[b]) / np.linalg.norm(rest[a] - rest[b]) for a, b in LIDS
    ]
    brow = np.abs(blink[list(LID_BROWS), 1] - rest[list(LID_BROWS), 1]).mean() / height
    return Answer(
        float(gap[0]),
        gap[1:-1],
        value("contrast"),
        value("visible").astype(float),
        float(np.mean(lids)),
        float(brow),
    )


def summary(answers: Sequence[Answer]) -> dict[str, Any]:
    """Medians over portraits, JSON-ready; closing is of the portraits with open lips alone."""
    gap, contrast, visible = (
        np.stack([getattr(a, name) for a in answers]) for name in ("gap", "contrast", "visible")
    )
    parted = [float(a.gap[0]) for a in answers if a.own_gap > PARTED]
    by_jaw = []
    for k, jaw in enumerate(JAWS):
        open_ = ~np.isnan(contrast[:, k])
        row: dict[str, Any] = {
            "jawOpen": jaw,
            "gap": float(np.median(gap[:, k])),
            "open": int(open_.sum()),
        }
        if open_.any():
            row |= {
                "contrast": float(np.median(contrast[open_, k])),
                "dark or teeth": float(visible[open_, k].mean()),
            }
        by_jaw.append(row)
    return {
        "portraits": len(answers),
        "jaw": by_jaw,
        "open portraits told to close": {
            "portraits": len(parted),
            "gap": float(np.median(parted)) if parted else None,
            "largest": max(parted, default=None),
        },
        "blink": {
            "lids apart, of open": float(np.median([a.lids for a in answers])),
            "brow moved": float(np.median([a.brow for a in answers])),
        },
    }


def table(found: dict[str, Any]) -> str:
    """A summary as Markdown."""
    lines = [
        f"{found['portraits']} portraits; lengths of the face's height, medians",
        "",
        "| jawOpen | lip gap | open | contrast inside | dark or teeth seen |",
        "|---|---|---|---|---|",
    ]
    for row in found["jaw"]:
        more = [f"{row[name]:.3f}" if name in row else "" for name in ("contrast", "dark or teeth")]
        lines.append(
            f"| {row['jawOpen']} | {row['gap']:.3f} | {row['open']} | {' | '.join(more)} |"
        )
    closing, blink = found["open portraits told to close"], found["blink"]
    if closing["portraits"]:
        lines += [
            "",
            f"{closing['portraits']} portraits with open lips, told to close: gap "
            f"{closing['gap']:.3f}, largest {closing['largest']:.3f}",
        ]
    lines += [
        "",
        f"blink: lids stay {blink['lids apart, of open']:.2f} of their opening apart, "
        f"brows move {blink['brow moved']:.4f}",
    ]
    return "\n".join(lines) + "\n"


def main(words: list[str] | None = None) -> int:
    from vasa_jax.bundle import resolve_bundle
    from vasa_jax.inference.generate import load_portrait
    from vasa_jax.inference.pipeline import Pipeline
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.inference.request import Picture

    parser = argparse.ArgumentParser(
        description="response of portraits to single ARKit coefficients"
    )
    parser.add_argument("portraits", type=Path, help="folder of photos")
    parser.add_argument("--checkpoint", type=Path, help="weights (default: demo's)")
    parser.add_argument("-o", "--output", type=Path, help="JSON file besides the printed table")
    arguments = parser.parse_args(words)
    paths = find_files(arguments.portraits, PHOTOS).files
    if not paths:
        raise UserError(f"{arguments.portraits}: holds no photos ({', '.join(PHOTOS)})")
    bundle = resolve_bundle("demo" if arguments.checkpoint is None else None, arguments.checkpoint)
    if bundle.config.face.dyn_dim < INPUTS:
        raise UserError(
            f"config {bundle.config.name!r}: its z_dyn holds no ARKit coefficients, so "
            "none can be set; use weights of config 'demo'"
        )
    pipeline, report, found = Pipeline(bundle), Reporter("quiet"), []
    for path in paths:
        try:
            portrait = load_portrait(path, Picture(), bundle.config.face.image_size, report)
        except UserError as error:
            print(f"left out: {error}")
            continue
        one = answer(pipeline, portrait.crop.image)
        if one is None:
            print(f"left out: {path}: no face is found in the model's frames of it")
        else:
            found.append(one)
    if not found:
        raise UserError(f"{arguments.portraits}: no photo shows a face that can be measured")
    result = summary(found)
    print(table(result), end="")
    if arguments.output is not None:
        write_whole(arguments.output, "answers", json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    exit_with(main)
