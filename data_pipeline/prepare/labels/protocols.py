"""Protocols of labellers, and the set of labellers of a run.

A labeller is any callable of the right protocol. The ones built in stand in for the networks that
VASA-1 used (L2CS-Net, HSEmotion, Deep3DFaceRecon), whose weights no package carries; a user with
those weights names an own class as `gaze=my_package.module:L2CS`.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from vasa_jax.config.overrides import nearest
from vasa_jax.errors import UserError
from vasa_jax.typing import ARKIT, EMOTIONS, Float, Frames, UInt8


class HeadPose(NamedTuple):
    """Head pose of t frames, in the conventions of `vasa_jax.data_pipeline.clip.Clip`."""

    rotation: Float[np.ndarray, "t 3"]
    translation: Float[np.ndarray, "t 3"]
    log_scale: Float[np.ndarray, "t 1"]


class FaceTrack(NamedTuple):
    """Input of a labeller: one head in t frames."""

    frames: Frames  # (t, h, w, 3) uint8 sRGB, cropped by one box that does not move
    # Of `vasa_jax.perception.face_detector`, pixels of the crop, all finite.
    landmarks: Float[np.ndarray, "t 478 3"]
    # None while the pose itself is being found, and for masks.
    pose: HeadPose | None = None


class PoseLabeller(Protocol):
    """Head pose of every frame."""

    def __call__(self, track: FaceTrack) -> HeadPose: ...


class GazeLabeller(Protocol):
    """(t, 2) yaw and pitch of the line of sight in radians against the camera, as in `Clip`."""

    def __call__(self, track: FaceTrack) -> Float[np.ndarray, "t 2"]: ...


class DistanceLabeller(Protocol):
    """The clip's head distance, a positive number; 1 is a head of log_scale 0."""

    def __call__(self, track: FaceTrack) -> float: ...


class EmotionLabeller(Protocol):
    """(8,) shares of `vasa_jax.typing.EMOTIONS`, the clip's mean."""

    def __call__(self, track: FaceTrack) -> Float[np.ndarray, "8"]: ...


class ArkitLabeller(Protocol):
    """(t, 52) coefficients in the order of `vasa_jax.typing.ARKIT`."""

    def __call__(self, track: FaceTrack) -> Float[np.ndarray, "t 52"]: ...


class PointsLabeller(Protocol):
    """(t, 5, 2) face points and (t, p, 2) further ones, shares of width and height."""

    def __call__(
        self, track: FaceTrack
    ) -> tuple[Float[np.ndarray, "t 5 2"], Float[np.ndarray, "t p 2"]]: ...


class MaskLabeller(Protocol):
    """(t, h, w) where the person is: uint8 with 255 for the person, or shares in [0, 1]."""

    def __call__(
        self, track: FaceTrack
    ) -> UInt8[np.ndarray, "t h w"] | Float[np.ndarray, "t h w"]: ...


_ROOM = "vasa_jax.data_pipeline.prepare.labels"
DEFAULTS = {
    "pose": f"{_ROOM}.pose:CanonicalFacePose",
    "gaze": f"{_ROOM}.gaze:IrisGaze",
    "distance": f"{_ROOM}.distance:ScaleDistance",
    "emotion": f"{_ROOM}.emotion:FaceExpression",
    "arkit": f"{_ROOM}.blendshapes:Blendshapes",
    "points": f"{_ROOM}.points:MeshPoints",
    "mask": f"{_ROOM}.mask:PersonMask",
}
"""The built-in labeller of every kind, as `module:attribute` of a class without arguments."""
KINDS = tuple(DEFAULTS)
NUMBERS = tuple(kind for kind in KINDS if kind != "mask")
"""Those whose labels are numbers and not pictures: what `Labellers.label` gives."""


def parse_choices(texts: Sequence[str]) -> dict[str, str]:
    """{'gaze': 'module:attribute'} from ['gaze=module:attribute'].

    Raises UserError for an unknown kind, a kind named twice or another form. Imports nothing.
    """
    choices: dict[str, str] = {}
    for text in texts:
        kind, _, target = text.partition("=")
        module, _, attribute = target.partition(":")
        if not module or not attribute.isidentifier():
            raise UserError(
                f"--labeller {text!r} is not of the form KIND=module:attribute, for "
                "example gaze=my_package.gaze:L2CS"
            )
        if kind not in KINDS:
            raise UserError(
                f"there is no labeller {kind!r}{nearest(kind, KINDS)} (known: {', '.join(KINDS)})"
            )
        if kind in choices:
            raise UserError(f"the labeller {kind!r} is named twice: name it once")
        choices[kind] = target
    return choices


class Labellers:
    """One labeller of every kind. Holds only names until `load`, so it travels to workers.

    choices: names that replace those of `DEFAULTS`, see `parse_choices`.
    """

    def __init__(self, choices: Mapping[str, str] | None = None):
        self.names = DEFAULTS | dict(choices or {})
        self._loaded: dict[str, Callable] = {}

    def __getstate__(self) -> dict:
        return {"names": self.names, "_loaded": {}}

    def load(self, kinds: Sequence[str] = KINDS) -> None:
        """Makes these labellers now (fetching weights once); `label` and `masks` do so themselves.

        Raises UserError, naming the culprit, for weights or plug-ins that cannot be had.
        """
        for kind in kinds:
            if kind not in self._loaded:
                self._loaded[kind] = _make(kind, self.names[kind])

    def label(
        self, frames: Frames, landmarks: Float[np.ndarray, "t 478 3"]
    ) -> dict[str, np.ndarray]:
        """Every label of a clip but its masks, named and typed as the fields of `Clip`.

        frames, landmarks: as in `FaceTrack`. Returns rotation, translation, log_scale, gaze,
        main_gaze, distance, emotion, points, landmarks (int16) and arkit. Raises UserError where
        a labeller gives another shape than its protocol says, or numbers that are not finite.
        """
        from vasa_jax.data_pipeline.clip import LANDMARK_UNIT
        from vasa_jax.data_pipeline.main_gaze import main_gaze

        self.load(NUMBERS)
        track = FaceTrack(frames, landmarks)
        count = len(frames)
        pose = self._call("pose", track)
        for value, width in zip(pose, (3, 3, 1), strict=True):
            self._check("pose", value, (count, width))
        track = track._replace(pose=pose)
        gaze = self._check("gaze", self._call("gaze", track), (count, 2))
        points, further = self._call("points", track)
        points = self._check("points", points, (count, 5, 2))
        further = self._check("points", further, (count, np.shape(further)[1], 2))
        limits = np.iinfo(np.int16)
        return {
            "rotation": np.asarray(pose.rotation, np.float32),
            "translation": np.asarray(pose.translation, np.float32),
            "log_scale": np.asarray(pose.log_scale, np.float32),
            "gaze": gaze,
            "main_gaze": main_gaze(gaze),
            "distance": self._check("distance", self._call("distance", track), ()),
            "emotion": self._check("emotion", self._call("emotion", track), (len(EMOTIONS),)),
            "points": points,
            "landmarks": np.clip(np.round(further * LANDMARK_UNIT), limits.min, limits.max).astype(
                np.int16
            ),
            "arkit": self._check("arkit", self._call("arkit", track), (count, len(ARKIT))),
        }

    def masks(
        self, frames: Frames, landmarks: Float[np.ndarray, "t 478 3"]
    ) -> UInt8[np.ndarray, "t h w"]:
        """Where the person is in every frame of a clip, 255 for the person.

        frames, landmarks: as in `FaceTrack`. Raises UserError where the labeller gives another
        shape or type than its protocol says, or shares outside of [0, 1].
        """
        self.load(("mask",))
        found = np.asarray(self._call("mask", FaceTrack(frames, landmarks)))
        fine = found.shape == frames.shape[:3]
        if fine and found.dtype == np.uint8:
            return found
        if fine and found.dtype.kind == "f" and found.min() >= 0 and found.max() <= 1:
            return np.round(found * 255).astype(np.uint8)
        raise UserError(
            f"the labeller mask={self.names['mask']} gave {found.dtype} numbers of shape "
            f"{found.shape}, not shares in 0..1 (or uint8) of shape {frames.shape[:3]}"
        )

    def _call(self, kind: str, track: FaceTrack):
        return self._loaded[kind](track)

    def _check(self, kind: str, value: object, shape: tuple[int, ...]) -> np.ndarray:
        array = np.asarray(value, np.float32)
        if array.shape != shape or not np.isfinite(array).all():
            raise UserError(
                f"the labeller {kind}={self.names[kind]} gave numbers of shape "
                f"{array.shape}, not finite ones of shape {shape}"
            )
        return array


def _make(kind: str, name: str) -> Callable:
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"--labeller {kind}={name} cannot be imported ({error}): is the package "
            "installed, or its folder in PYTHONPATH?"
        ) from None
    labeller = factory()
    if not callable(labeller):
        raise UserError(
            f"--labeller {kind}={name}: {attribute}() is not callable; it must make a "
            f"{kind.capitalize()}Labeller of {_ROOM}.protocols"
        )
    return labeller
