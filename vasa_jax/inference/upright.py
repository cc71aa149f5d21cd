"""Photos that are sideways or upside down, turned by quarters so that the face is upright."""

from typing import NamedTuple

import numpy as np

from vasa_jax.perception.face_detector import EYE_CORNERS, Face, detect_faces
from vasa_jax.typing import PortraitArray

__all__ = ["Upright", "find_upright", "roll_of"]

SIDEWAYS_ROLL = 60.0
"""Degrees of roll from which a quarter turn makes a face clearly more upright (30 at most)."""
CONFIDENT_SCORE = 0.9
"""Faces with this score of the detector are not tried upside down: 33 of 36 upright portraits had
more, and those found in upside-down ones at most 0.78."""
MIN_SCORE = 0.7
"""Least score of a face found only in a turned photo (36 upright portraits: 0.80 to 0.98)."""
MARGIN = 0.1
"""By which a turned photo's score must exceed, or may fall below, that of the photo as given."""
_HOW = {
    1: "turned by 90 degrees counter-clockwise",
    2: "turned by 180 degrees",
    3: "turned by 90 degrees clockwise",
}


class Upright(NamedTuple):
    """A photo with its faces upright, as far as quarter turns can."""

    photo: PortraitArray
    faces: list[Face]  # largest first
    note: str | None = None  # for the user, where it was turned or the face is not upright


def roll_of(face: Face) -> float:
    """Clockwise rotation of the line through the eyes, degrees in -180..180; 0 is upright."""
    right, left = (face.landmarks[corner, :2] for corner in EYE_CORNERS)
    return float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])))


def find_upright(photo: PortraitArray, number: int | None = None) -> Upright:
    """The faces of a photo, turned by quarters if that makes the chosen face clearly upright.

    number: which face, 1 is the largest (default). Raises UserError as `detect_faces` does.
    """
    faces = detect_faces(photo, fine=False)
    index = 0 if number is None else number - 1
    if faces and not 0 <= index < len(faces):
        return Upright(photo, faces)  # `choose_face` says what is wrong
    roll = roll_of(faces[index]) if faces else 0.0
    tried: tuple[int, ...]
    if not faces:
        tried, least = (1, 2, 3), MIN_SCORE
    elif abs(roll) > SIDEWAYS_ROLL:
        # An upright photo that is turned counter-clockwise once has a roll of -90 degrees.
        tried, least = (round(roll / 90) % 4,), faces[index].score - MARGIN
    elif faces[index].score < CONFIDENT_SCORE:
        tried, least = (2,), faces[index].score + MARGIN
    else:
        return Upright(photo, faces)
    best = None
    for turns in tried:
        turned = np.ascontiguousarray(np.rot90(photo, turns))
        found = detect_faces(turned, fine=False)
        if index < len(found) and abs(roll_of(found[index])) < 45 and found[index].score >= least:
            best, least = Upright(turned, found, _note(turns)), found[index].score
    if best is not None:
        return best
    if not faces:  # the closer search comes last: it may take texture for a face
        return Upright(photo, detect_faces(photo))
    if abs(roll) <= SIDEWAYS_ROLL:
        return Upright(photo, faces)
    note = f"the face is turned by {roll:.0f} degrees: turn the photo so that it is upright"
    return Upright(photo, faces, note)


def _note(turns: int) -> str:
    lies = "is upside down" if turns == 2 else "lies on its side"
    return f"the face {lies}: the photo is {_HOW[turns]}"
