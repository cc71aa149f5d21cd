"""Identity by dlib's vectors: against the real counterpart, and from the first frame on."""

import cv2
import numpy as np

from vasa_jax.evaluation.types import SAME_PERSON
from vasa_jax.perception.face_tracker import hull, hull_side
from vasa_jax.perception.identity import FACE_SHARE
from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track
from vasa_jax.typing import Float, PortraitArray, UInt8

_DLIB = "distance of dlib's 128-vectors; below 0.6 is one person (King 2017)"
DRIFT = {
    "identity_drift": Spec("identity distance to the first frame", "", "as the real videos", _DLIB)
}
PAIR = {
    "identity_distance": Spec("identity distance to the real video", "", "0", _DLIB),
    "same_person": Spec(f"same person (distance below {SAME_PERSON})", "share", "1", _DLIB),
}
SIDE = 256
"""Pixels of the crop that the network's chip is cut from, as of `evaluate` with models of 256."""


def face_crop(
    frame: PortraitArray, landmarks: Float[np.ndarray, "478 3"], points: Float[np.ndarray, "5 2"]
) -> tuple[UInt8[np.ndarray, "s s 3"], Float[np.ndarray, "5 2"]]:
    """A square about the face, and the points in it; both points in shares of the picture."""
    left, top, right, bottom = hull(landmarks)
    scale = SIDE * FACE_SHARE / max(hull_side(landmarks), 1.0)
    at = points * (frame.shape[1], frame.shape[0]) - 0.5
    if scale < 0.5:  # bilinear sampling would skip pixels: average them first
        width, height = (max(round(2 * scale * n), 1) for n in (frame.shape[1], frame.shape[0]))
        factor = np.array([width / frame.shape[1], height / frame.shape[0]])
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        at, scale = (at + 0.5) * factor - 0.5, scale / float(factor.mean())
        left, right, top, bottom = (
            v * f for v, f in zip((left, right, top, bottom), np.repeat(factor, 2), strict=True)
        )
    shift = (SIDE - 1) / 2 - scale * np.array([(left + right) / 2, (top + bottom) / 2])
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    crop = cv2.warpAffine(
        frame, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return crop, (at * scale + shift + 0.5) / SIDE


def vectors(track: Track, tools: Tools) -> Float[np.ndarray, "k e"]:
    """Vectors of the frames that are kept; NaN without a face.

    Raises NotMeasured where none has one, and without the network.
    """
    track.found()
    embed = tools("identity")
    numbers = list(track.numbers)
    known = track.faces.found()[numbers]
    if not known.any():
        raise NotMeasured("no face is found in the frames that are looked at")
    crops, points = zip(
        *(
            face_crop(frame, track.landmarks[n], track.faces.points[n])
            for frame, n, seen in zip(track.stills, numbers, known, strict=True)
            if seen
        ),
        strict=True,
    )
    found = np.asarray(embed(np.stack(crops), np.stack(points).astype(np.float32)))
    rows = np.full((len(known), found.shape[-1]), np.nan)
    rows[known] = found
    return rows


def drift(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Mean distance of the later frames to the first one; not defined for one frame."""
    rows = vectors(track, tools)
    rows = rows[np.isfinite(rows).all(1)]
    if len(rows) < 2:
        raise NotMeasured("a face in two frames or more is needed")
    return {"identity_drift": float(np.linalg.norm(rows[1:] - rows[0], axis=1).mean())}


def pair(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Mean distance to the real video's mean vector, which head pose and expression move less than
    a single frame's."""
    assert reference is not None
    ours, real = vectors(track, tools), vectors(reference, tools)
    distance = np.linalg.norm(ours - np.nanmean(real, 0), axis=1)
    distance = distance[np.isfinite(distance)]
    return {
        "identity_distance": float(distance.mean()),
        "same_person": float((distance < SAME_PERSON).mean()),
    }


IDENTITY_DRIFT = Metric("identity over time", DRIFT, drift)
IDENTITY_PAIR = Metric("identity against the real video", PAIR, pair, paired=True)
