"""How far pictures do what they are told: lips, lids and brows of portraits on single commands.

    python -m vasa_jax.evaluation.answers PORTRAITS [--checkpoint DIR] [-o FILE.json]

Each portrait, in its own head pose, is told one ARKit coefficient and nothing else; the face mesh
reads what came of it. For models whose z_dyn is these coefficients (`vasa_jax.face.label_code`).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.errors import UserError, exit_with
from vasa_jax.evaluation.face_statistics import CHIN, FOREHEAD, lip_gap, mouth_inside
from vasa_jax.evaluation.structs import Model
from vasa_jax.evaluation.use import decode, encode_motion
from vasa_jax.face.label_code import SCALE, label_read_in
from vasa_jax.face.readin import INPUTS
from vasa_jax.media.files import write_whole
from vasa_jax.media.folders import find_files
from vasa_jax.perception.face_tracker import FaceTracker
from vasa_jax.typing import ARKIT, POSE_DIM, Float, PortraitArray

PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
JAWS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
"""jawOpen that a portrait is told, one after another; then a blink."""
PARTED = 0.02
"""Gap of a portrait's lips, of the face's height, from which on it is told to close them."""
LIDS, LID_BROWS = ((159, 145), (386, 374)), (105, 334)
"""Of the face mesh: middles of the upper and the lower lid, and a point of the brow above."""


class Answer(NamedTuple):
    """One portrait's. own_gap: of the lips in the portrait; gap: by `JAWS`, both of the face's
    height. contrast, visible: of the mouth's inside (`face_statistics.mouth_inside`), NaN where too
    little is open to tell. lids: their distance in a blink, of that before it. brow: how far a
    blink moves it, of the face's height."""

    own_gap: float
    gap: Float[np.ndarray, " j"]
    contrast: Float[np.ndarray, " j"]
    visible: Float[np.ndarray, " j"]
    lids: float
    brow: float


def commands() -> Float[np.ndarray, "k 52"]:
    """The coefficients of each picture: `JAWS`, then both eyes shut."""
    told = np.zeros((len(JAWS) + 1, len(ARKIT)), np.float32)
    told[:-1, ARKIT.index("jawOpen")] = JAWS
    told[-1, [ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")]] = 1
    return told


def told_motion(own: Float[np.ndarray, " m"]) -> Float[np.ndarray, "k m"]:
    """[pose, z_dyn] of all commands for a portrait of this motion: its head pose and its eyes
    stay, every coefficient but the commanded one rests."""
    told, pose, dyn = commands(), own[:POSE_DIM], own[POSE_DIM:]
    eyes = np.tile(dyn[len(ARKIT) : INPUTS] / SCALE, (len(told), 1))
    return np.concatenate(
        [np.tile(pose, (len(told), 1)), label_read_in(len(dyn))(told, eyes)], 1
    ).astype(np.float32)


def answer(model: Model, portrait: PortraitArray) -> Answer | None:
    """What a portrait of the model's size does; None where the mesh finds no face in a picture."""
    (own,) = encode_motion(model, portrait[None])
    frames = decode(model, portrait, told_motion(own))
    # A tracker of its own for each: these pictures are no video.
    found = [FaceTracker(1)(picture).landmarks for picture in (portrait, *frames)]
    if any(landmarks is None for landmarks in found):
        return None
    return read_answer(frames, np.stack(found).astype(np.float32))


def read_answer(frames: np.ndarray, landmarks: Float[np.ndarray, "k 478 3"]) -> Answer:
    """landmarks: of the portrait, then of each of the frames."""
    gap = lip_gap(landmarks)
    told = landmarks[1:]
    insides = [mouth_inside(*pair) for pair in zip(frames[:-1], told[:-1], strict=True)]
    value = lambda name: np.array([np.nan if i is None else getattr(i, name) for i in insides])  # noqa: E731
    rest, blink = told[0, :, :2], told[-1, :, :2]
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
    """Medians over portraits, JSON-ready; closing is asked of portraits with open lips."""
    gap, contrast, visible = (
        np.stack([getattr(a, name) for a in answers]) for name in ("gap", "contrast", "visible")
    )
    smiling = [float(a.gap[0]) for a in answers if a.own_gap > PARTED]
    by_jaw = []
    for k, jaw in enumerate(JAWS):
        open_ = ~np.isnan(contrast[:, k])
        row = {"jawOpen": jaw, "gap": float(np.median(gap[:, k])), "open": int(open_.sum())}
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
            "portraits": len(smiling),
            "gap": float(np.median(smiling)) if smiling else None,
            "largest": max(smiling, default=None),
        },
        "blink": {
            "lids apart, of open": float(np.median([a.lids for a in answers])),
            "brow moved": float(np.median([a.brow for a in answers])),
        },
    }


def table(found: dict[str, Any]) -> str:
    """The Markdown of a summary."""
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

    parser = argparse.ArgumentParser(description="what portraits do on single commands")
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
            "it cannot be told any; use weights of config 'demo'"
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
            print(f"left out: {path}: no face is found in what the model drew of it")
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
