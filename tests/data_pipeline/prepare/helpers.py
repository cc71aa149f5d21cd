"""Tiny videos, good and bad, and labellers of known answers."""

import struct
from fractions import Fraction

import av
import cv2
import numpy as np

from vasa_jax.data_pipeline.prepare.labels import HeadPose, Labellers
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


def wobble(picture, count=45):
    """The picture moved by some pixels a frame, (count, h, w, 3)."""
    height, width = picture.shape[:2]
    frames = []
    for k in range(count):
        shift = np.array([[1.0, 0, 3 * np.sin(k / 5)], [0, 1.0, 2 * np.cos(k / 7)]])
        frames.append(cv2.warpAffine(picture, shift, (width, height), borderMode=1))
    return np.stack(frames)


def write_video(
    path,
    frames,
    *,
    sound=True,
    pts=None,
    form="yuv420p",
    options=None,
    level=0.2,
    rate=25,
    wave=None,
):
    """H.264 with AAC. pts: times in ms. form: pixel format. options: of x264. level: of the noise
    that is heard. rate: what the file states. wave: 16 kHz sound in place of the noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=rate, options={"crf": "12", **(options or {})})
        video.width, video.height, video.pix_fmt = frames.shape[2], frames.shape[1], form
        video.codec_context.time_base = Fraction(1, 1000)
        audio = out.add_stream("aac", rate=16000, layout="mono") if sound else None
        for k, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts = int(40 * k if pts is None else pts[k])
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound:
            count = 640 * len(frames) if pts is None else round(16 * (pts[-1] + 40))
            rng = np.random.default_rng(0)
            noise = (level * rng.standard_normal((1, count))).clip(-1, 1)
            wave = (noise if wave is None else wave[None, :count]).astype(np.float32)
            for start in range(0, count, 1024):
                block = np.ascontiguousarray(wave[:, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16000, start
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


def turn(path):
    """Write a quarter turn into the file's display matrix, as a phone held upright does."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44  # 40 bytes of flags, times and layers come before
    data[start : start + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


PLAIN = "tests.data_pipeline.prepare.helpers"


def plain() -> Labellers:
    """Labellers of a few lines, so that these tests are of the pipeline and not of networks."""
    kinds = {
        "gaze": "Gaze",
        "emotion": "Emotion",
        "arkit": "Arkit",
        "pose": "Pose",
        "mask": "Mask",
    }
    return Labellers({kind: f"{PLAIN}:{name}" for kind, name in kinds.items()})
