"""Small videos of a moving portrait."""

import cv2
import numpy as np
from PIL import Image

from tests.assets import PORTRAIT
from vasa_jax.media.writer import VideoWriter

SIZE = 192


def moving(count, zoom):
    """The portrait, panned to the right and zoomed from frame to frame; it stays in one square."""
    photo = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    scale = SIZE / max(photo.shape[:2])
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = photo.shape[:2]
    frames = []
    for i in range(count):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 0, 1 + zoom * i)
        matrix[:, 2] += (SIZE - width) / 2 + i / 4, (SIZE - height) / 2
        frames.append(cv2.warpAffine(photo, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE))
    return np.stack(frames)


def write_video(path, frames, sound=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, SIZE, SIZE, audio_from=sound) as video:
        video.write(frames)
    return path
