"""Tiny videos that the tests make for themselves, good and bad."""

import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import skimage.data

from tests import needs
from vasa_jax.data_pipeline.prepare.labels import Labellers

SIZE = 256


@pytest.fixture(scope="session")
def face_picture():
    """(256, 256, 3) uint8 with one face, 90 px wide. Needs the detector's and BRISQUE's weights."""
    needs.require_weights("face-landmarker", "brisque")
    return np.ascontiguousarray(skimage.data.astronaut()[:SIZE, 96 : 96 + SIZE])


@pytest.fixture(scope="session")
def two_people(face_picture):
    """(256, 512, 3): the face twice, the second mirrored."""
    return np.concatenate([face_picture, face_picture[:, ::-1]], 1)


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


PLAIN = "tests.data_pipeline.prepare.plain_labels"


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


@pytest.fixture
def plain_labellers():
    return plain()
