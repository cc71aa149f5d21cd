"""PSNR, SSIM and LPIPS against the real counterpart, where frames pair."""

import cv2
import numpy as np

from vasa_jax.evaluation.image_metrics import SSIM_WINDOW, psnr, ssim
from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track
from vasa_jax.typing import Frames

_PAIR = "frames of the same number; meaningful for reenactment, not where motion is free"
SPECS = {
    "psnr": Spec("PSNR", "dB", "high", _PAIR),
    "ssim": Spec("SSIM", "", "1", f"Wang et al. 2004; {_PAIR}"),
    "lpips": Spec("LPIPS (VGG-16)", "", "0", f"Zhang et al. 2018, version 0.1; {_PAIR}"),
}
SLACK = 1
"""Frames by which two videos may differ in length: encoders add or drop one."""
LARGEST = 512
"""LPIPS sees pictures shrunk to this long side, since VGG's maps of larger ones take gigabytes."""


def measure(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Means over the frames that are kept.

    Raises NotMeasured for videos of different length or proportions; without LPIPS's weights its
    figure alone is left out.
    """
    assert reference is not None
    ours, real = paired_frames(track, reference)
    found = {"psnr": float(psnr(ours, real).mean())}
    if min(ours.shape[1:3]) >= SSIM_WINDOW:
        found["ssim"] = float(ssim(ours, real).mean())
    try:
        distance = tools("lpips")
    except NotMeasured:
        return found
    pairs = (_shrunk(ours), _shrunk(real))
    return found | {"lpips": float(distance(*pairs).mean())}


def paired_frames(track: Track, reference: Track) -> tuple[Frames, Frames]:
    """The kept frames whose number both have, the real ones at the size of ours.

    Raises NotMeasured where lengths differ by more than `SLACK`, or proportions by a hundredth.
    """
    if abs(track.frames - reference.frames) > SLACK:
        raise NotMeasured(
            f"{track.frames} frames against {reference.frames} real ones: they do not pair"
        )
    (w, h), (rw, rh) = track.size, reference.size
    if abs(w * rh / (h * rw) - 1) > 0.01:
        raise NotMeasured(f"{w}x{h} px against {rw}x{rh}: they do not pair")
    common = [n for n in track.numbers if n in reference.numbers]
    ours = np.stack([track.stills[track.numbers.index(n)] for n in common])
    real = np.stack([reference.stills[reference.numbers.index(n)] for n in common])
    return ours, _resized(real, w, h)


def _resized(frames: Frames, width: int, height: int) -> Frames:
    if frames.shape[1:3] == (height, width):
        return frames
    way = cv2.INTER_AREA if frames.shape[2] > width else cv2.INTER_CUBIC
    return np.stack([cv2.resize(f, (width, height), interpolation=way) for f in frames])


def _shrunk(frames: Frames) -> Frames:
    scale = LARGEST / max(frames.shape[1:3])
    if scale >= 1:
        return frames
    return _resized(frames, *(max(round(n * scale), 16) for n in frames.shape[2:0:-1]))


PIXELS = Metric("pictures against the real video", SPECS, measure, paired=True)
