"""How one clip of a talking face looks and moves, in numbers that real and drawn faces share.

Everything is read by the same networks (the face mesh and what `prepare` labels with), so that
their errors fall on both sides alike.
"""

from typing import NamedTuple

import cv2
import numpy as np

from vasa_jax.typing import ARKIT, FPS, Float, PortraitArray

INNER_LIPS = (
    78,
    191,
    80,
    81,
    82,
    13,
    312,
    311,
    310,
    415,
    308,
    324,
    318,
    402,
    317,
    14,
    87,
    178,
    88,
    95,
)
"""The inner edge of the lips in the mesh, all around."""
UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152
BROWS, EYE_CORNERS = (70, 63, 105, 66, 107, 300, 293, 334, 296, 336), (33, 133, 362, 263)
OPEN, SHUT = 0.03, 0.01
"""Gap of the lips, of the face's height (forehead to chin in the mesh): apart, and together."""
PROMINENCE = 0.02
"""How far a gap rises above the dips on both sides to count as one opening."""
DARK, BRIGHT, PALE = 0.38, 0.5, 0.42
"""Luma of the cavity (at most) and of teeth (at least), of the face's mean; teeth's saturation (at
most). Lips and tongues lie between."""
VISIBLE = 0.12
"""Share of an opening that has to be dark or teeth for the inside to be seen."""
_SIDE, _FACE = 256, 205
"""Pixels of the square that a mouth is measured in, and of the face's height in it."""
_LEAST_PIXELS = 12
_SMOOTH = 2.0
"""Frames (standard deviation): landmarks shake by more than heads move in a frame."""
BLINKED = 0.25
"""How far a lid's coefficient rises above its surroundings in a blink: lids of people who look down
hang at half for seconds."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class MouthInside(NamedTuple):
    """The inside of an opened mouth. contrast, luma: standard deviation and mean of its luma, of
    the face's mean; teeth, dark: shares of its area."""

    contrast: float
    luma: float
    teeth: float
    dark: float

    @property
    def visible(self) -> bool:
        """Whether teeth or a cavity can be seen."""
        return self.teeth > VISIBLE or self.dark > VISIBLE


def lip_gap(landmarks: Float[np.ndarray, "t 478 3"]) -> Float[np.ndarray, " t"]:
    """Distance of the inner lips' middles over the face's height, in the picture."""
    at = landmarks[..., :2]
    gap = np.linalg.norm(at[:, UPPER_LIP] - at[:, LOWER_LIP], axis=-1)
    return gap / np.linalg.norm(at[:, FOREHEAD] - at[:, CHIN], axis=-1)


def mouth_inside(image: PortraitArray, landmarks: Float[np.ndarray, "478 3"]) -> MouthInside | None:
    """What is seen between the lips; None where too little is open to tell."""
    at = landmarks[:, :2]
    grow = _FACE / max(float(np.linalg.norm(at[FOREHEAD] - at[CHIN])), 1.0)
    shift = _SIDE / 2 - grow * at[UPPER_LIP]
    matrix = np.array([[grow, 0, shift[0]], [0, grow, shift[1]]], np.float32)
    way = cv2.INTER_AREA if grow < 1 else cv2.INTER_CUBIC
    small = cv2.warpAffine(image, matrix, (_SIDE, _SIDE), flags=way)
    at = at * grow + shift
    inside = np.zeros((_SIDE, _SIDE), np.uint8)
    polygon = np.round(at[list(INNER_LIPS)] * 16).astype(np.int32)
    cv2.fillPoly(inside, [polygon], 1, shift=4)
    inside = cv2.erode(inside, np.ones((3, 3), np.uint8)) > 0
    if inside.sum() < _LEAST_PIXELS:
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
    """gap, insides: of the frames in which the face was found, in their order."""
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
    """Of Euler angles in radians; figures in degrees."""
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
    """Blinks, where lids come down and go up again within a second; they last while lids are down
    by more than half of their way. Shifts of gaze (radians) of more than 3 degrees."""
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
    """How much the brows' height over the eyes varies, of the face's height."""
    at = landmarks[..., :2]
    height = np.linalg.norm(at[:, FOREHEAD] - at[:, CHIN], axis=-1)
    brow, eye = (at[:, list(rows)].mean(1) for rows in (BROWS, EYE_CORNERS))
    return {"brow spread": float((np.linalg.norm(brow - eye, axis=-1) / height).std())}
