"""Labellers of known answers, named by the tests as a user names an own one."""

import numpy as np

from vasa_jax.data_pipeline.prepare.labels import HeadPose
from vasa_jax.typing import EMOTIONS


class Pose:
    def __call__(self, track):
        count = len(track.frames)
        zeros = np.zeros((count, 3), np.float32)
        return HeadPose(zeros, zeros, np.zeros((count, 1), np.float32))


class Gaze:
    def __call__(self, track):
        return np.zeros((len(track.frames), 2), np.float32)


class Emotion:
    def __call__(self, track):
        shares = np.full(8, 1 / 7, np.float32)
        shares[EMOTIONS.index("contempt")] = 0
        return shares


class Arkit:
    def __call__(self, track):
        return np.zeros((len(track.frames), 52), np.float32)


class Mask:
    """A disc of 0.4 of the width about the middle."""

    def __call__(self, track):
        count, height, width = track.frames.shape[:3]
        y, x = np.mgrid[:height, :width]
        disc = np.hypot(x - width / 2, y - height / 2) < 0.4 * width
        return np.repeat(disc[None].astype(np.float32), count, 0)


class Left:
    """The left half of the picture."""

    def __call__(self, track):
        masks = np.zeros(track.frames.shape[:3], np.uint8)
        masks[..., : masks.shape[2] // 2] = 255
        return masks


class Corner:
    """What shows no face."""

    def __call__(self, track):
        masks = np.zeros(track.frames.shape[:3])
        masks[:, :8, :8] = 1
        return masks
