"""Photos that lie on their side or stand on their head, turned so that the face is upright."""

from typing import NamedTuple

import numpy as np

from vasa_jax.perception.face_detector import EYE_CORNERS, Face, detect_faces
from vasa_jax.typing import PortraitArray

__all__ = ["Upright", "find_upright", "roll_of"]

LYING = 60.0
"""Degrees of roll from which on a quarter turn makes a face clearly more upright (30 at most)."""
SURE = 0.9
"""Detector's score from which on a face is not tried upside down. Upright, 33 of 36 portraits had
more; on their heads 7 were taken for upright faces all the same, with 0.55 to 0.78."""
MIN_SCORE = 0.7
"""Of a face that is found only in a turned photo; upright, 36 portraits had 0.80 to 0.98."""
MARGIN = 0.1
_HOW = {
    1: "turned by 90 degrees counter-clockwise",
    2: "turned by 180 degrees",
    3: "turned by 90 degrees clockwise",
}


class Upright(NamedTuple):
    """photo: as it was, or turned by quarters. faces: in it, largest first. note: a line for the
    user where the photo was turned, or where a face lies all the same."""

    photo: PortraitArray
    faces: list[Face]
    note: str | None = None


def roll_of(face: Face) -> float:
    """Degrees by which the line of the eyes is turned clockwise, -180 to 180; upright is 0."""
    right, left = (face.landmarks[corner, :2] for corner in EYE_CORNERS)
    return float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])))


def find_upright(photo: PortraitArray, number: int | None = None) -> Upright:
    """The faces of a photo, which is turned by quarters if the chosen face is clearly better so.

    number: which face, 1 is the largest; None takes that. Raises UserError as `detect_faces` does.
    """
    faces = detect_faces(photo, fine=False)
    index = 0 if number is None else number - 1
    if faces and not 0 <= index < len(faces):
        return Upright(photo, faces)  # `choose_face` says what is wrong
    roll = roll_of(faces[index]) if faces else 0.0
    if not faces:
        tried, least = (1, 2, 3), MIN_SCORE
    elif abs(roll) > LYING:
        # An upright photo that is turned counter-clockwise once has a roll of -90 degrees.
        tried, least = (round(roll / 90) % 4,), faces[index].score - MARGIN
    elif faces[index].score < SURE:
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
    if not faces:  # the closer search last: it might take some texture for a face
        return Upright(photo, detect_faces(photo))
    if abs(roll) <= LYING:
        return Upright(photo, faces)
    note = f"the face is turned by {roll:.0f} degrees: turn the photo so that it is upright"
    return Upright(photo, faces, note)


def _note(turns: int) -> str:
    lies = "is upside down" if turns == 2 else "lies on its side"
    return f"the face {lies}: the photo is {_HOW[turns]}"
