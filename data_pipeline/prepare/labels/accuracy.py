"""Errors of the labellers on clips with known truth.

    python -m vasa_jax.data_pipeline.prepare.labels.accuracy CLIPS [--labeller KIND=MODULE:NAME]

CLIPS is a folder of `Clip` files (.npz) with exact labels, such as `dataset/clips` of `vasa-jax
synth`. The pictures are labelled anew, and a table in Markdown says how far off that is.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.angles import gaze_directions, rotation_matrices
from vasa_jax.data_pipeline.clip import Clip, read_clip
from vasa_jax.data_pipeline.loading.image_codec import decode_grey
from vasa_jax.data_pipeline.prepare.labels.protocols import Labellers, parse_choices
from vasa_jax.errors import UserError
from vasa_jax.typing import ARKIT, EMOTIONS, Bool, Float, Frames, Int, UInt8

ONE_CLIP_LABELS = ("main_gaze", "distance", "emotion")


class Pairs(NamedTuple):
    """True and found labels by name: rows are frames, or clips for `ONE_CLIP_LABELS`."""

    truth: dict[str, np.ndarray]
    found: dict[str, np.ndarray]
    clip: Int[np.ndarray, " n"]  # which clip a row of frames is of
    frames: int
    missed: int  # of `frames`, those without a face for the detector
    masks: Float[np.ndarray, "m 3"]  # of every frame that has one, see `mask_errors`


def decode(frames: Sequence[bytes]) -> Frames:
    """The pictures of a clip, RGB."""
    import cv2

    def rgb(content: bytes) -> np.ndarray:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError("a frame is no picture that OpenCV can decode")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    return np.stack([rgb(frame) for frame in frames])


def find_landmarks(
    frames: Frames,
) -> tuple[Float[np.ndarray, "t 478 3"], Bool[np.ndarray, " t"]]:
    """Landmarks frame by frame, and where there was a face; rows without one are zero."""
    from vasa_jax.perception.face_detector import detect_faces, track_landmarks

    found, landmarks = np.zeros(len(frames), bool), np.zeros((len(frames), 478, 3), np.float32)
    previous = None
    for i, frame in enumerate(frames):
        points = None if previous is None else track_landmarks(frame, previous)
        if points is None:
            faces = detect_faces(frame)
            points = faces[0].landmarks if faces else None
        previous = points
        if points is not None:
            found[i], landmarks[i] = True, points
    return landmarks, found


def mask_errors(
    truth: UInt8[np.ndarray, "t h w"], found: UInt8[np.ndarray, "t h w"]
) -> Float[np.ndarray, "t 3"]:
    """Per frame: the mean difference and the mean signed difference of two masks, as shares of the
    picture, and the intersection over union of what is more than half covered."""
    a, b = (mask.reshape(len(mask), -1) for mask in (truth, found))
    off = (b.astype(np.float32) - a) / 255
    one, two = a > 127, b > 127
    union = np.maximum((one | two).sum(1), 1)
    return np.stack([np.abs(off).mean(1), off.mean(1), (one & two).sum(1) / union], 1)


def compare(clips: Iterator[Clip], labellers: Labellers) -> Pairs:
    """Labels every clip anew. Clips in which no face is found count as missed frames only."""
    names = ("rotation", "log_scale", "gaze", "points", "arkit", *ONE_CLIP_LABELS)
    truth: dict[str, list] = {name: [] for name in names}
    found: dict[str, list] = {name: [] for name in names}
    frames = missed = 0
    rows: list[np.ndarray] = [np.zeros(0, np.int64)]
    masks: list[np.ndarray] = [np.zeros((0, 3))]
    for number, clip in enumerate(clips):
        pictures = decode(clip.frames)
        landmarks, seen = find_landmarks(pictures)
        frames, missed = frames + len(seen), missed + int((~seen).sum())
        if not seen.any():
            continue
        labels = labellers.label(pictures[seen], landmarks[seen])
        rows.append(np.full(seen.sum(), number))
        if clip.masks is not None:
            true = np.stack([decode_grey(mask, clip.size)[..., 0] for mask in clip.masks])
            made = labellers.masks(pictures[seen], landmarks[seen])
            masks.append(mask_errors(true[seen], made))
        for name in names:
            true = getattr(clip, name)
            if true is None:
                continue
            whole = name in ONE_CLIP_LABELS
            truth[name].append(true[None] if whole else true[seen])
            found[name].append(labels[name][None] if whole else labels[name])
    join = lambda table: {k: np.concatenate(v) for k, v in table.items() if v}  # noqa: E731
    clip_of = np.concatenate(rows)
    return Pairs(join(truth), join(found), clip_of, frames, missed, np.concatenate(masks))


def angle_between(
    a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, " n"]:
    """Degrees between lines of sight given by yaw and pitch in radians (axes as in `Clip`)."""
    cosine = (gaze_directions(a) * gaze_directions(b)).sum(-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, or NaN where one of them does not move."""
    if min(np.std(a), np.std(b)) < 1e-6:
        return float("nan")
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def table(pairs: Pairs) -> str:
    """The errors as Markdown: per label the mean and median error, the bias and the correlation."""
    lines = [
        f"{pairs.frames} frames, no face found in {pairs.missed}.",
        "",
        "| label | mean error | median | 95 % below | bias | correlation |",
        "|---|---|---|---|---|---|",
    ]

    def row(
        name: str, error: np.ndarray, bias: object = "", r: object = "", unit: str = ""
    ) -> None:
        numbers = (error.mean(), np.median(error), np.percentile(error, 95))
        cells = [f"{v:.2f}{unit}" for v in numbers]
        texts = [v if isinstance(v, str) else f"{v:.2f}" for v in (bias, r)]
        lines.append(f"| {name} | {' | '.join(cells + texts)} |")

    truth, found = pairs.truth, pairs.found
    if "rotation" in truth:
        a, b = (t["rotation"].astype(np.float64) for t in (truth, found))
        product = rotation_matrices(a).swapaxes(1, 2) @ rotation_matrices(b)
        cosine = (np.trace(product, axis1=1, axis2=2) - 1) / 2
        row("head rotation, deg", np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        for i, name in enumerate(("pitch", "yaw", "roll")):
            d = np.degrees(b[:, i] - a[:, i])
            row(f"head {name}, deg", np.abs(d), d.mean(), correlation(a[:, i], b[:, i]))
    for name in ("gaze", "main_gaze"):
        if name in truth:
            a, b = truth[name], found[name]
            row(f"{name}, deg", angle_between(a, b))
            for i, axis in enumerate(("yaw", "pitch")):
                d = np.degrees(b[:, i] - a[:, i])
                row(f"{name} {axis}, deg", np.abs(d), d.mean(), correlation(a[:, i], b[:, i]))
    if "distance" in truth:
        a, b = truth["distance"], found["distance"]
        row("distance", 100 * np.abs(b / a - 1), 100 * (b / a - 1).mean(), correlation(a, b), " %")
    if "points" in truth:
        d = np.linalg.norm(found["points"] - truth["points"], axis=2)
        row("face points, share of width", 100 * d.mean(1), "", "", " %")
    if len(pairs.masks):
        off, bias, overlap = pairs.masks.T
        row("mask, share of the picture", 100 * off, 100 * bias.mean(), "", " %")
        numbers = (overlap.mean(), np.median(overlap), np.percentile(overlap, 5))
        cells = " | ".join(f"{v:.3f}" for v in numbers)
        lines.append(f"| mask, intersection over union (third: 5 % below) | {cells} | | |")
    if "emotion" in truth:
        a, b = truth["emotion"], found["emotion"]
        row("emotion, sum of share errors", np.abs(a - b).sum(1), "", correlation(a, b))
        same = np.mean(a.argmax(1) == b.argmax(1))
        lines.append(f"| emotion, largest share is the same | {100 * same:.0f} % | | | | |")
        # Neutral hides how much of the rest is seen.
        rest = [i for i, name in enumerate(EMOTIONS) if name != "neutral"]
        felt = a[:, rest].max(1) > 0.3
        if felt.any():
            same = np.mean(a[felt][:, rest].argmax(1) == b[felt][:, rest].argmax(1))
            lines.append(
                f"| likewise without neutral, where felt (> 0.3) | {100 * same:.0f} % | | | | |"
            )
    if "arkit" in truth:
        jaw = ARKIT.index("jawOpen")
        a, b = truth["arkit"], found["arkit"]
        d = b[:, jaw] - a[:, jaw]
        row("mouth opening (jawOpen)", np.abs(d), d.mean(), correlation(a[:, jaw], b[:, jaw]))
        each = [pairs.clip == number for number in np.unique(pairs.clip)]
        r = np.array([correlation(a[i, jaw], b[i, jaw]) for i in each])
        if np.isfinite(r).any():
            lines.append(f"| mouth opening, mean over clips | | | | | {np.nanmean(r):.2f} |")
        lines += ["", *_arkit_table(a, b)]
    return "\n".join(lines)


def _arkit_table(a: Float[np.ndarray, "n 52"], b: Float[np.ndarray, "n 52"]) -> list[str]:
    """R2 as it is, and after the best line through it (the square of the correlation)."""
    lines = [
        "| ARKit coefficient | spread of the truth | R2 | R2 after a line |",
        "|---|---|---|---|",
    ]
    for i, name in enumerate(ARKIT):
        spread = float(np.std(a[:, i]))
        if spread < 0.01:
            continue
        r2 = 1 - np.mean((a[:, i] - b[:, i]) ** 2) / spread**2
        lines.append(
            f"| {name} | {spread:.2f} | {r2:.2f} | {correlation(a[:, i], b[:, i]) ** 2:.2f} |"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", type=Path, metavar="CLIPS", help="a folder of .npz clips")
    parser.add_argument("--labeller", action="append", default=[], metavar="KIND=MODULE:ATTRIBUTE")
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="the first N clips")
    arguments = parser.parse_args(argv)
    try:
        files = sorted(arguments.clips.rglob("*.npz"))[: arguments.limit]
        if not files:
            raise UserError(f"{arguments.clips}: has no .npz clips; `vasa-jax synth` makes some")
        labellers = Labellers(parse_choices(arguments.labeller))
        pairs = compare((read_clip(file) for file in files), labellers)
        if not pairs.truth:
            raise UserError(f"{arguments.clips}: its clips have no labels, or show no face")
        print(table(pairs))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
