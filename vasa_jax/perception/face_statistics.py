"""Statistics of a talking-face clip (mouth, head, eyes, brows), to compare real and rendered faces.

All are computed from the face mesh and the labels of `prepare`, whose errors affect both alike.
"""

from typing import NamedTuple

import cv2
import numpy as np

from vasa_jax.typing import ARKIT, FPS, Float, PortraitArray

INNER_LIPS = (
    *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
)
"""Mesh points of the inner edge of the lips, in order around the mouth."""
UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152
BROWS, EYE_CORNERS = (70, 63, 105, 66, 107, 300, 293, 334, 296, 336), (33, 133, 362, 263)
# Lengths are shares of the face's height, forehead to chin in the mesh.
OPEN, SHUT = 0.03, 0.01  # lip gap of an open and of a closed mouth
PROMINENCE = 0.02  # of a peak of the lip gap that counts as one opening
# Luma is relative to the face's mean: of the cavity at most DARK, of teeth at least BRIGHT with a
# saturation of at most PALE. Lips and tongue lie between.
DARK, BRIGHT, PALE = 0.38, 0.5, 0.42
VISIBLE = 0.12  # share of the opening that is cavity or teeth where the inside is visible
_SIDE, _FACE = 256, 205  # pixels of the normalised crop and of the face's height in it
_MIN_PIXELS = 12
_SMOOTH = 2.0  # frames, standard deviation: landmark jitter exceeds head motion between frames
BLINKED = 0.25  # prominence of a blink: the lids of people who look down stay half closed
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class MouthInside(NamedTuple):
    """Appearance of the inside of an open mouth."""

    contrast: float  # standard deviation of luma, relative to the face's mean luma
    luma: float  # mean luma, relative to the face's mean
    teeth: float  # share of its area
    dark: float  # share of its area

    @property
    def visible(self) -> bool:
        """Whether teeth or the cavity are visible."""
        return self.teeth > VISIBLE or self.dark > VISIBLE


def lip_gap(landmarks: Float[np.ndarray, "t 478 3"]) -> Float[np.ndarray, " t"]:
    """Distance of the inner lips' middles over the face's height, both in the image plane."""
    at = landmarks[..., :2]
    gap = np.linalg.norm(at[:, UPPER_LIP] - at[:, LOWER_LIP], axis=-1)
    return gap / np.linalg.norm(at[:, FOREHEAD] - at[:, CHIN], axis=-1)


def mouth_inside(image: PortraitArray, landmarks: Float[np.ndarray, "478 3"]) -> MouthInside | None:
    """Appearance between the lips; None where the opening is too small."""
    at = landmarks[:, :2]
    grow = _FACE / max(float(np.linalg.norm(at[FOREHEAD] - at[CHIN])), 1.0)
    shift = _SIDE / 2 - grow * at[UPPER_LIP]
    matrix = np.array([[grow, 0, shift[0]], [0, grow, shift[1]]], np.float32)
    way = cv2.INTER_AREA if grow < 1 else cv2.INTER_CUBIC
    small = cv2.warpAffine(image, matrix, (_SIDE, _SIDE), flags=way)
    at = at * grow + shift
    filled = np.zeros((_SIDE, _SIDE), np.uint8)
    polygon = np.round(at[list(INNER_LIPS)] * 16).astype(np.int32)
    cv2.fillPoly(filled, [polygon], 1, shift=4)
    inside = cv2.erode(filled, np.ones((3, 3), np.uint8)) > 0
    if inside.sum() < _MIN_PIXELS:
        return None
    face = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(at.astype(np.float32)).astype(np.int32), 1)
    luma = small.astype(np.float32) @ _LUMA
    luma = luma / max(float(luma[face > 0].mean()), 1.0)
    colour = small[inside].astype(np.float32)
    saturation = (colour.max(1) - colour.min(1)) / np.maximum(colour.max(1), 1)
    found = luma[inside]
    teeth = (saturation < PALE) & (found > BRIGHT)
    return MouthInside(
        float(found.std()), float(found.mean()), float(teeth.mean()), float((found < DARK).mean())
    )


def mouth_statistics(
    gap: Float[np.ndarray, " t"], insides: list[MouthInside | None]
) -> dict[str, float]:
    """Statistics of the mouth over the frames with a detected face, in order."""
    from scipy.signal import find_peaks

    seconds = len(gap) / FPS
    opened = [i for i, g in zip(insides, gap, strict=True) if i is not None and g > OPEN]
    middle = lambda name: float(np.median([getattr(i, name) for i in opened]))  # noqa: E731
    found = {
        "lip gap amplitude": float(np.percentile(gap, 95) - np.percentile(gap, 5)),
        "lip gap speed": float(np.abs(np.diff(gap)).mean() * FPS),
        "openings a second": len(find_peaks(gap, prominence=PROMINENCE)[0]) / seconds,
        "lips together": float((gap < SHUT).mean()),
    }
    if opened:
        found |= {
            "contrast inside": middle("contrast"),
            "luma inside": middle("luma"),
            "teeth share": middle("teeth"),
            "dark share": middle("dark"),
            "inside visible": float(np.mean([i.visible for i in opened])),
        }
    return found


def head_statistics(rotation: Float[np.ndarray, "t 3"]) -> dict[str, float]:
    """Speed and spread of the head's Euler angles, in degrees; rotation: radians."""
    from scipy.ndimage import gaussian_filter1d

    smooth = np.degrees(gaussian_filter1d(rotation.astype(np.float64), _SMOOTH, axis=0))
    spread = smooth.std(0)
    return {
        "head speed": float(np.abs(np.diff(smooth, axis=0)).mean()),
        "pitch spread": float(spread[0]),
        "yaw spread": float(spread[1]),
        "roll spread": float(spread[2]),
    }


def eye_statistics(
    arkit: Float[np.ndarray, "t 52"], gaze: Float[np.ndarray, "t 2"]
) -> dict[str, float]:
    """Rate, length (at half prominence) and peak of blinks; rate of gaze shifts above 3 degrees.

    gaze: radians.
    """
    from scipy.signal import find_peaks

    lids = arkit[:, [ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")]].mean(1)
    seconds = len(lids) / FPS
    found, shape = find_peaks(lids, prominence=BLINKED, wlen=FPS, width=1)
    jump = np.linalg.norm(np.degrees(gaze[2:] - gaze[:-2]), axis=1) > 3
    statistics = {
        "blinks a minute": 60 * len(found) / seconds,
        "gaze shifts a second": float((np.diff(jump.astype(int)) == 1).sum() / seconds),
    }
    if len(found):
        statistics["blink length"] = float(np.median(shape["widths"]) / FPS)
        statistics["blink peak"] = float(np.median(lids[found]))
    return statistics


def brow_statistics(landmarks: Float[np.ndarray, "t 478 3"]) -> dict[str, float]:
    """Standard deviation of the brows' distance from the eyes, over the face's height."""
    at = landmarks[..., :2]
    height = np.linalg.norm(at[:, FOREHEAD] - at[:, CHIN], axis=-1)
    brow, eye = (at[:, list(rows)].mean(1) for rows in (BROWS, EYE_CORNERS))
    return {"brow spread": float((np.linalg.norm(brow - eye, axis=-1) / height).std())}
