"""Contact sheets of scores: a clip a sheet, a system a row."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vasa_jax.score.pairing import REAL
from vasa_jax.score.run import Result
from vasa_jax.typing import FPS, UInt8

BAR = 22
"""Pixels of a row's title."""
Curves = dict[str, list[float | None]]
"""Mouth opening by system."""


def group_sheets(
    results: Sequence[Result], limit: int
) -> Iterator[tuple[str, UInt8[np.ndarray, "h w 3"], Curves]]:
    """(clip, sheet, curves) of up to `limit` clips, of as many people as possible."""
    clips: dict[str, list[Result]] = {}
    for result in results:
        if result.entry is not None:
            clips.setdefault(result.video.reference or result.video.name, []).append(result)
    for name in _spread(clips)[:limit]:
        rows = clips[name]
        titles = [_title(row) for row in rows]
        strips = [row.entry.strip for row in rows if row.entry is not None]
        curves = {t: row.entry.mouth for t, row in zip(titles, rows, strict=True) if row.entry}
        yield name, _stacked(strips, titles), curves


def _spread(clips: dict[str, list[Result]]) -> list[str]:
    """Clips with most systems first; of these one of each person first."""
    turn: dict[str, int] = {}
    order: list[tuple[int, int, int, str]] = []
    for name, rows in clips.items():
        person = rows[0].video.person
        turn[person] = turn.get(person, 0) + 1
        order.append((-len({row.video.system for row in rows}), turn[person], len(order), name))
    return [name for *_, name in sorted(order)]


def _title(row: Result) -> str:
    video = row.video
    other = video.name if video.reference not in (None, video.name) else ""
    return f"{video.system} {other}".strip()


def _stacked(strips: Sequence[np.ndarray], titles: Sequence[str]) -> UInt8[np.ndarray, "h w 3"]:
    parts = []
    for image, title in zip(strips, titles, strict=True):
        bar = np.full((BAR, image.shape[1], 3), 255, np.uint8)
        place = (4, BAR - 7)
        cv2.putText(bar, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        parts += [bar, image]
    return np.concatenate(parts)


def plot_mouths(path: Path, title: str, curves: Curves) -> bool:
    """Write a PNG of mouth openings over time; whether there was anything to draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = {k: np.array(v, float) for k, v in curves.items() if any(x is not None for x in v)}
    if not drawn:
        return False
    figure = Figure(figsize=(10, 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, values in drawn.items():
        colour = "black" if name == REAL else None
        axes.plot((np.arange(len(values)) + 0.5) / FPS, values, label=name, color=colour)
    axes.set_ylabel("lip opening / eye distance")
    axes.set_xlabel("seconds")
    axes.set_title(title)
    axes.legend(loc="upper right", fontsize="small")
    figure.savefig(path, dpi=90)
    return True
