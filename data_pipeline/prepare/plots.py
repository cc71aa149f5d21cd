"""The plots of the data card."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.prepare.report import SourceReport
from vasa_jax.typing import EMOTIONS, FPS, Float

FILES = ("pose.png", "gaze.png", "clips.png", "emotion.png", "discards.png")
_COLOUR = "#3b6ea5"


class Labels(NamedTuple):
    """The labels of f frames of c clips, as `vasa_jax.data_pipeline.clip.Clip` has them."""

    rotation: Float[np.ndarray, "f 3"]
    gaze: Float[np.ndarray, "f 2"]
    main_gaze: Float[np.ndarray, "c 2"]
    distance: Float[np.ndarray, " c"]
    emotion: Float[np.ndarray, "c 8"]
    quality: Float[np.ndarray, " c"]
    seconds: Float[np.ndarray, " c"]


def draw_plots(
    folder: Path, labels: Labels | None, reports: Sequence[SourceReport]
) -> dict[str, Path]:
    """PNG files in `folder`, by the words that describe them. labels None: the discards only."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, Path] = {}
    if labels is not None:
        pose = np.degrees(labels.rotation)
        gaze = np.degrees(labels.gaze)
        plots["Head pose"] = _histograms(
            folder / "pose.png",
            {
                "pitch (down +), deg": pose[:, 0],
                "yaw (picture's left +), deg": pose[:, 1],
                "roll, deg": pose[:, 2],
            },
        )
        plots["Line of sight per frame, and every clip's main direction"] = _directions(
            folder / "gaze.png", gaze, np.degrees(labels.main_gaze)
        )
        plots["Head distance, picture quality, length of the clips"] = _histograms(
            folder / "clips.png",
            {
                "head distance": labels.distance,
                "quality (100 - BRISQUE)": labels.quality,
                "seconds": labels.seconds,
            },
        )
        plots["Emotion, mean share over all clips"] = _bars(
            folder / "emotion.png",
            dict(zip(EMOTIONS, labels.emotion.mean(0).tolist(), strict=True)),
            "",
        )
    lost: dict[str, float] = defaultdict(float)  # seconds by reason
    for report in reports:
        for discard in report.discards:
            lost[discard.reason] += (discard.stop - discard.start) / FPS
    most = dict(sorted(lost.items(), key=lambda item: -item[1]))
    kept = sum(c.stop - c.start for r in reports for c in r.clips) / FPS
    plots["Where the seconds of video went"] = _bars(
        folder / "discards.png",
        {"kept": kept, **most},
        "seconds",
    )
    return plots


def _figure(columns: int, height: float = 2.6) -> tuple[Any, Any]:
    # No pyplot: it keeps figures in global state and may look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, np.atleast_1d(figure.subplots(1, columns))


def _save(figure: Any, path: Path) -> Path:
    # No date or version in the file: the same data give the same bytes.
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return path


def _histograms(path: Path, values: dict[str, np.ndarray]) -> Path:
    figure, axes = _figure(len(values))
    for axis, (name, numbers) in zip(axes, values.items(), strict=True):
        axis.hist(numbers, bins=40, color=_COLOUR)
        axis.set_xlabel(name)
        axis.spines[["top", "right"]].set_visible(False)
    return _save(figure, path)


def _directions(path: Path, gaze: np.ndarray, main: np.ndarray) -> Path:
    figure, axes = _figure(2, 3.2)
    limit = max(30.0, float(np.percentile(np.abs(gaze), 99)))
    span = [[-limit, limit], [-limit, limit]]
    counts = axes[0].hist2d(gaze[:, 0], gaze[:, 1], bins=40, range=span, cmap="Blues")
    figure.colorbar(counts[3], ax=axes[0], label="frames")
    axes[1].scatter(main[:, 0], main[:, 1], s=12, color=_COLOUR, alpha=0.6)
    for axis in axes:
        axis.set(
            xlim=span[0],
            ylim=span[1],
            xlabel="yaw (picture's right +), deg",
            ylabel="pitch (up +), deg",
            aspect="equal",
        )
        axis.axhline(0, color="grey", lw=0.5)
        axis.axvline(0, color="grey", lw=0.5)
    return _save(figure, path)


def _bars(path: Path, values: dict[str, float], label: str) -> Path:
    figure, (axis,) = _figure(1, 0.8 + 0.28 * len(values))
    figure.set_size_inches(6.0, 0.8 + 0.28 * len(values))
    names = list(values)[::-1]
    axis.barh(names, [float(values[n]) for n in names], color=_COLOUR)
    axis.set_xlabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    return _save(figure, path)
