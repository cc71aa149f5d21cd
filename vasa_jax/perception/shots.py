"""Shot boundaries of a stream of frames.

The change between two frames is the mean absolute difference of hue, saturation and value, the
content measure of PySceneDetect (its default threshold, 27, is ours), on a small copy.
"""

import cv2
import numpy as np

from vasa_jax.typing import PortraitArray

WIDTH = 160
"""Width of the small copy: averaging takes noise away and costs little."""


class ShotDetector:
    """Detects for each frame in order whether it begins a new shot; the first one does.

    A light that goes on counts as a cut as well: to a tracker it is one.
    """

    def __init__(self, threshold: float = 27.0):
        self.threshold = threshold
        self.change = 0.0
        self._last: np.ndarray | None = None

    def __call__(self, frame: PortraitArray) -> bool:
        """frame: (h, w, 3) uint8 RGB. `change` then holds the difference to the frame before."""
        height = max(round(frame.shape[0] * WIDTH / frame.shape[1]), 1)
        small = cv2.resize(frame, (WIDTH, height), interpolation=cv2.INTER_AREA)
        hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(np.float32)
        last, self._last = self._last, hsv
        if last is None or last.shape != hsv.shape:
            return True
        self.change = float(np.abs(hsv - last).mean())
        return self.change > self.threshold
