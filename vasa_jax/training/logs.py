"""Scalars and sample grids of a training run: JSON lines, PNG files, and TensorBoard's event files
where tensorboardX is installed (the extra `train`)."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vasa_jax.media.image import write_image
from vasa_jax.typing import Float, UInt8

ROWS = 4
"""Examples shown in a grid of samples."""


def image_grid(
    images: Mapping[str, Float[np.ndarray, "b h w 3"]], rows: int = ROWS
) -> UInt8[np.ndarray, "gh gw 3"]:
    """One row per example, one column per name, in order; values outside [0, 1] are clipped."""
    columns = [np.concatenate(list(np.asarray(x)[:rows]), axis=0) for x in images.values()]
    grid = np.nan_to_num(np.concatenate(columns, axis=1).astype(np.float32))
    return np.rint(np.clip(grid, 0.0, 1.0) * 255).astype(np.uint8)


class Logs:
    """Writes to `folder`: metrics.jsonl, samples/NNNNNNNN.png, and logs/ for TensorBoard.

    start: step that the run goes on from. note: gets a line where TensorBoard's files are left out.
    """

    def __init__(self, folder: Path, start: int = 0, note: Callable[[str], None] = lambda _: None):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._board: Any = None
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError:
            note('no files for TensorBoard, which need: pip install "vasa-jax[train]"')
        else:
            # What an interrupted run logged after its last checkpoint is done again from there.
            self._board = SummaryWriter(str(self._folder / "logs"), purge_step=start)
        self._lines = (self._folder / "metrics.jsonl").open("a")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log named numbers of a step."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()

    def samples(self, step: int, images: Mapping[str, Float[np.ndarray, "b h w 3"]]) -> None:
        """Log a grid of samples; the columns' order is the mapping's."""
        grid = image_grid(images)
        folder = self._folder / "samples"
        folder.mkdir(exist_ok=True)
        write_image(folder / f"{step:08d}.png", grid)
        if self._board is not None:
            self._board.add_image(" | ".join(images), grid, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the files."""
        if self._board is not None:
            self._board.close()
        self._lines.close()
