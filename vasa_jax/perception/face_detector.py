"""Faces in a photo: BlazeFace finds them, MediaPipe's mesh network places 478 landmarks.

Both networks come from the zoo's `face-landmarker` bundle (Google, Apache-2.0) and run on the CPU
in OpenCV's DNN module, some milliseconds each, so no second framework is needed.
"""

import threading
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vasa_jax import zoo
from vasa_jax.cache import temporary_folder
from vasa_jax.errors import UserError
from vasa_jax.perception import blazeface
from vasa_jax.perception.blazeface import Box
from vasa_jax.typing import PortraitArray

LANDMARKS = 478
LANDMARK_INPUT = 256
ROI_SCALE = 1.5
"""The landmark network sees the face's box enlarged by this (MediaPipe's value)."""
MIN_PRESENCE = 0.99
"""Least presence score of a face; MediaPipe's 0.5 accepts flags and coins (up to 0.99)."""
LARGE_FACE = 0.2
"""A face wider than this part of the long side is a portrait: no search for smaller ones."""
FINE_LEVELS = (3, 4, 5)
FINE_SQUARE = 2 * blazeface.INPUT_SIZE
"""Smallest square of the finer search, pixels: a face in less would be under 32 px wide."""
EYE_CORNERS = (33, 263)
"""Outer corners of the right and the left eye in the mesh; their line gives the roll."""


class Face(NamedTuple):
    """One face in photo pixels (x right, y down, 0 at the left or top edge)."""

    box: Box  # BlazeFace's box (x, y, w, h): from the brows to the chin, ear to ear
    score: float  # BlazeFace's confidence in [0, 1]
    # MediaPipe's canonical mesh (468) and irises (10); z in pixels, towards the camera negative, of
    # no defined origin.
    landmarks: Float[np.ndarray, "478 3"]


class Roi(NamedTuple):
    """A square of the photo, turned by `roll` radians clockwise about its centre; pixels."""

    x: float
    y: float
    side: float
    roll: float


class TFLiteNet:
    """A TFLite network in OpenCV. Input and output live inside the object, hence the lock."""

    def __init__(self, content: bytes, outputs: tuple[str, ...]):
        # OpenCV 5's new engine shows one of the detector's two outputs; 4.x has one engine only.
        # Reading from memory ignores the choice of engine in OpenCV 5.0, hence the file.
        engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
        with temporary_folder() as folder:
            path = folder / "net.tflite"
            path.write_bytes(content)
            self._net = cv2.dnn.readNetFromTFLite(str(path), *engine)
        self._outputs = outputs
        self._lock = threading.Lock()

    def __call__(self, blob: Float[np.ndarray, "1 ..."]) -> list[np.ndarray]:
        with self._lock:
            self._net.setInput(blob)
            return [np.array(out) for out in self._net.forward(self._outputs)]


@lru_cache(maxsize=2)
def _load(path: Path) -> tuple[TFLiteNet, TFLiteNet]:
    """The detector and the landmark network of a bundle. Safe to share between threads."""
    try:
        with zipfile.ZipFile(path) as bundle:
            detector = bundle.read("face_detector.tflite")
            landmarks = bundle.read("face_landmarks_detector.tflite")
        return (
            TFLiteNet(detector, ("regressors", "classificators")),
            TFLiteNet(landmarks, ("Identity", "Identity_1")),
        )
    except (KeyError, OSError, zipfile.BadZipFile, cv2.error) as error:
        reason = " ".join(str(error).split())  # OpenCV's has several lines
        raise UserError(f"{path} is not a face landmarker bundle: {reason}") from None


def detect_faces(image: PortraitArray, path: Path | None = None, fine: bool = True) -> list[Face]:
    """Every face of a photo, largest box first; an empty list when there is none.

    image: (h, w, 3) uint8 sRGB of any size. path: the bundle; None takes the zoo's (downloading
    it once). The whole photo is searched first, then overlapping parts of it unless a face
    fills a good part of the picture already. fine: while none is found, ever smaller parts of a
    large photo are searched as well, which finds a face of a hundredth of its side and takes a
    second or two where there is none. Candidates that the landmark network does not take for a face
    are dropped. Raises UserError when the bundle cannot be had or read.
    """
    detector, mesh = _load(path or zoo.ensure("face-landmarker"))
    image = np.ascontiguousarray(image)
    long = max(image.shape[:2])
    faces = _search(image, detector, mesh, (0,))
    if not any(face.box[2] > LARGE_FACE * long for face in faces):
        faces = _merge(faces + _search(image, detector, mesh, (1, 2)))
    if not faces:
        faces = _search(image, detector, mesh, (-1,))
    for level in FINE_LEVELS if fine else ():
        if faces or blazeface.SHARES[level - 1] * long < FINE_SQUARE:
            break
        faces = _search(image, detector, mesh, (level,))
    return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def track_landmarks(
    image: PortraitArray,
    previous: Float[np.ndarray, "478 3"],
    path: Path | None = None,
    presence: float = MIN_PRESENCE,
) -> Float[np.ndarray, "478 3"] | None:
    """The landmarks of the face that had the landmarks `previous` a frame ago, in pixels.

    Several times cheaper than `detect_faces`, and smoother. None when the face is lost (the network
    gives it less than `presence`): detect again then. Raises UserError as `detect_faces` does.
    """
    _, mesh = _load(path or zoo.ensure("face-landmarker"))
    return _landmarks(np.ascontiguousarray(image), roi_from_landmarks(previous), mesh, presence)


def _search(
    image: PortraitArray, detector: TFLiteNet, mesh: TFLiteNet, levels: tuple
) -> list[Face]:
    found = []
    for level in levels:
        for square in blazeface.squares(image.shape[0], image.shape[1], level):
            blob = _blob(blazeface.cut(image, square), 1 / 127.5, 127.5)
            regressors, logits = detector(blob)
            found.append(blazeface.decode(regressors[0], logits[0, :, 0], square))
    faces = []
    for row in blazeface.suppress(np.concatenate(found)):
        points = _landmarks(image, roi_from_candidate(row), mesh)
        if points is not None:
            # Once more from where the landmarks say the face is: less jitter, better roll.
            points = _landmarks(image, roi_from_landmarks(points), mesh)
        if points is not None:
            faces.append(Face(blazeface.box_of(row), float(row[16]), points))
    return _merge(faces)


def _merge(faces: list[Face]) -> list[Face]:
    """One face where several candidates led to the same landmarks; the best score stays."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.score):
        hull = _hull(face.landmarks)
        if all(max(blazeface.overlap(hull, _hull(k.landmarks))) < 0.5 for k in kept):
            kept.append(face)
    return kept


def _hull(landmarks: Float[np.ndarray, "478 3"]) -> Box:
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def roi_from_candidate(row: Float[np.ndarray, " 17"]) -> Roi:
    """The landmark network's region of a detected face, level by the eyes."""
    x, y, w, h, right_x, right_y, left_x, left_y = (float(v) for v in row[:8])
    roll = float(np.arctan2(left_y - right_y, left_x - right_x))
    return Roi(x + w / 2, y + h / 2, ROI_SCALE * max(w, h), roll)


def roi_from_landmarks(landmarks: Float[np.ndarray, "478 3"]) -> Roi:
    """The landmark network's region in the next frame, from these landmarks in pixels."""
    points = landmarks[:, :2]
    right, left = points[EYE_CORNERS[0]], points[EYE_CORNERS[1]]
    roll = float(np.arctan2(left[1] - right[1], left[0] - right[0]))
    low, high = points.min(0), points.max(0)
    x, y = (low + high) / 2
    return Roi(float(x), float(y), ROI_SCALE * float((high - low).max()), roll)


def _landmarks(
    image: PortraitArray, roi: Roi, mesh: TFLiteNet, least: float = MIN_PRESENCE
) -> Float[np.ndarray, "478 3"] | None:
    """Landmarks in photo pixels, or None where the network sees no face."""
    if not np.isfinite(roi).all() or roi.side < 4:
        return None
    scale = roi.side / LANDMARK_INPUT
    cos, sin = np.cos(roi.roll) * scale, np.sin(roi.roll) * scale
    half = LANDMARK_INPUT / 2
    # From the network's pixels to the photo's: p = centre + scale * R(roll) (q - half).
    rotation = np.array([[cos, -sin], [sin, cos]])
    offset = np.array([roi.x, roi.y]) - rotation @ np.array([half, half])
    output, presence = mesh(_blob(_warp(image, rotation, offset), 1 / 255, 0.0))
    if 1 / (1 + np.exp(-np.clip(presence.item(), -80, 80))) < least:
        return None
    points = output.reshape(LANDMARKS, 3).astype(np.float64)
    points[:, :2] = points[:, :2] @ rotation.T + offset
    points[:, 2] *= scale
    return points.astype(np.float32)


def _warp(
    image: PortraitArray, rotation: Float[np.ndarray, "2 2"], offset: Float[np.ndarray, " 2"]
) -> UInt8[np.ndarray, "256 256 3"]:
    scale = float(np.hypot(rotation[0, 0], rotation[1, 0]))
    if scale > 2:  # bilinear sampling would skip pixels: average them first
        height, width = (max(round(n / np.floor(scale)), 1) for n in image.shape[:2])
        shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        factors = np.array([shrunk.shape[1] / image.shape[1], shrunk.shape[0] / image.shape[0]])
        # Edges stay edges: (i + 1/2) * factor = j + 1/2.
        offset = (offset + 0.5) * factors - 0.5
        image, rotation = shrunk, rotation * factors[:, None]
    return cv2.warpAffine(
        image,
        np.column_stack([rotation, offset]),
        (LANDMARK_INPUT, LANDMARK_INPUT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _blob(image: UInt8[np.ndarray, "s s 3"], scale: float, mean: float) -> np.ndarray:
    return cv2.dnn.blobFromImage(image, scale, mean=(mean,) * 3)
