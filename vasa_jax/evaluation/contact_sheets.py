"""Contact sheets: grids of images, and plots of the mouth opening over the spectrogram."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vasa_jax.evaluation.lip_sync import CLOSED_LIPS, PHONEME_CLASSES, segments
from vasa_jax.evaluation.types import MouthCurve
from vasa_jax.typing import FPS, Float, UInt8

TILE = 128
GAP = 4
TITLE = 22


def grid(
    rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] = (), tile: int = TILE
) -> UInt8[np.ndarray, "h w 3"]:
    """A grid of square images, resized to `tile` pixels, on white; titles are those of the columns.

    All rows have the same length.
    """
    columns = len(rows[0])
    top = TITLE if titles else 0
    height, width = top + len(rows) * (tile + GAP) - GAP, columns * (tile + GAP) - GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    for c, title in enumerate(titles):
        place = (c * (tile + GAP) + 2, TITLE - 7)
        cv2.putText(sheet, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            y, x = top + r * (tile + GAP), c * (tile + GAP)
            way = cv2.INTER_AREA if len(image) > tile else cv2.INTER_NEAREST
            sheet[y : y + tile, x : x + tile] = cv2.resize(image, (tile, tile), interpolation=way)
    return sheet


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an RGB image as PNG."""
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes())


def spectrogram(waveform: Float[np.ndarray, " n"]) -> Float[np.ndarray, "f t"]:
    """Power in dB relative to the maximum, 0 to 8 kHz; 32 ms Hann windows every 10 ms."""
    window, hop = 512, 160
    padded = np.pad(np.asarray(waveform, np.float64), window // 2)
    runs = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.square(np.abs(np.fft.rfft(runs * np.hanning(window), axis=-1))).T
    return 10 * np.log10(np.maximum(power, 1e-12) / max(power.max(), 1e-12))


def plot_mouth(path: Path, curve: MouthCurve) -> None:
    """Write a PNG with the generated and true mouth opening above the spectrogram.

    Runs of /p b m/ are shaded where the phonemes are known.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    mouth, sound = figure.subplots(2, 1, sharex=True)
    times = (np.arange(len(curve.ours)) + 0.5) / FPS
    mouth.plot(times, curve.truth, color="black", label="truth")
    mouth.plot(times, curve.ours, color="tab:red", label="ours")
    mouth.axhline(CLOSED_LIPS, color="grey", linewidth=0.6, linestyle="--")
    for start, stop in segments(curve.phonemes or (), PHONEME_CLASSES["p b m"]):
        mouth.axvspan(start / FPS, stop / FPS, color="tab:blue", alpha=0.2)
    mouth.set_ylabel("lip opening / eye distance")
    mouth.set_title(f"{curve.name} (shaded: /p b m/)")
    mouth.legend(loc="upper right")
    sound.imshow(
        spectrogram(curve.waveform),
        origin="lower",
        aspect="auto",
        vmin=-70,
        vmax=0,
        extent=(0, len(curve.ours) / FPS, 0, 8),
        cmap="magma",
    )
    sound.set_ylabel("kHz")
    sound.set_xlabel("seconds")
    figure.savefig(path, dpi=90)
