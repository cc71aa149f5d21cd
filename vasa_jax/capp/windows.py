"""Batches of windows of head motion and sound."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.audio.augment import augment_channel
from vasa_jax.capp.clips import PoseClip, find_pose_clips
from vasa_jax.capp.poses import measurable_starts
from vasa_jax.config.capp import CappConfig
from vasa_jax.errors import UserError
from vasa_jax.typing import SAMPLES_PER_FRAME, Array, Float

CLIPS_IN_MEMORY = 64
NEAR = 1.25
"""Amplitudes within this factor of the true one are no negatives: people differ by as much."""
FAR = 5.0
"""The largest factor of a negative's amplitude, up or down."""


class CappBatch(NamedTuple):
    """Pairs of head motion and sound of w frames."""

    rotation: Float[Array, "b w 3"]
    """Pitch, yaw, roll, radians."""
    waveform: Float[Array, "b n"]
    """640 w samples at 16 kHz."""
    negative: Float[Array, "b w 3"] | None = None
    """The same pose with a wrong amplitude; None: no such negatives."""


def capp_batch_struct(config: CappConfig, batch: int | None = None) -> CappBatch:
    """Shapes of a global batch."""
    size, w = config.train_capp.batch if batch is None else batch, config.capp.window

    def f32(*shape: int) -> Any:
        return jax.ShapeDtypeStruct((size, *shape), jnp.float32)

    negative = f32(w, 3) if config.train_capp.amplitude_negatives else None
    return CappBatch(f32(w, 3), f32(w * SAMPLES_PER_FRAME), negative)


class CappWindows:
    """An endless, shuffled, checkpointable iterator of `CappBatch` over a split of a data set.

    Every epoch visits every clip max(1, t // (w group)) times; a visit gives up to
    `train_capp.group` windows of the clip, their beginnings at least `least_shift` frames apart, as
    many as the clip has room for. Windows that lack too many poses (`poses.measurable_starts`) are
    left out. Every draw depends on seed, host, epoch and visit alone. Hosts read disjoint clips.

    folder, split: see `find_pose_clips`. batch: the global batch size (default: the config's);
    process_index, process_count: this host (default: as JAX says).
    Raises UserError for folders without clips of a window's length, and fewer of them than hosts.
    """

    ahead = 2

    def __init__(
        self,
        folder: Path,
        config: CappConfig,
        batch: int | None = None,
        *,
        split: str = "train",
        process_index: int | None = None,
        process_count: int | None = None,
    ):
        host = jax.process_index() if process_index is None else process_index
        hosts = jax.process_count() if process_count is None else process_count
        train = config.train_capp
        size = train.batch if batch is None else batch
        if size % hosts:
            raise UserError(f"a batch of {size} cannot be shared by {hosts} hosts")
        clips = find_pose_clips(folder, split)
        self.struct = capp_batch_struct(config, size)
        self._window, self._train, self._host = config.capp.window, train, host
        whole = [i for i, frames in enumerate(clips.frames) if frames >= self._window]
        if len(whole) < hosts:
            raise UserError(
                f"{folder}: {len(whole)} of its {len(clips.names)} clips are as long as a window "
                f"({self._window} frames), for {hosts} hosts; give longer clips"
            )
        self.clips = tuple(whole[host::hosts])
        counts = [max(1, clips.frames[i] // (self._window * train.group)) for i in self.clips]
        self._visits = np.repeat(np.asarray(self.clips), counts)
        self._share = size // hosts
        self._open = lru_cache(CLIPS_IN_MEMORY)(clips.open)
        self._epoch, self._place, self._offset = 0, 0, 0
        self._order: tuple[int, np.ndarray] | None = None

    def __iter__(self):
        return self

    def __next__(self) -> CappBatch:
        rows: list[tuple] = []
        empty = 0
        while len(rows) < self._share:
            drawn = self._draw()
            empty = 0 if drawn else empty + 1
            if empty > len(self._visits):
                raise UserError(
                    "no clip has a window with enough frames in which a face was found; look at "
                    "the data"
                )
            taken = drawn[self._offset : self._offset + self._share - len(rows)]
            rows += taken
            self._offset += len(taken)
            if self._offset >= len(drawn):
                self._place, self._offset = self._place + 1, 0
                if self._place == len(self._visits):
                    self._epoch, self._place = self._epoch + 1, 0
        columns: list[Any] = [np.stack(column) for column in zip(*rows, strict=True)]
        rotation, waveform, negative = columns
        return CappBatch(rotation, waveform, None if self.struct.negative is None else negative)

    def _draw(self) -> list[tuple]:
        """All windows of the visit at hand."""
        if self._order is None or self._order[0] != self._epoch:
            draw = np.random.default_rng((self._train.seed, self._host, self._epoch))
            self._order = self._epoch, draw.permutation(self._visits)
        draw = np.random.default_rng((self._train.seed, self._host, self._epoch, self._place))
        clip = self._open(int(self._order[1][self._place]))
        starts = self._starts(draw, clip)
        wave = augment_channel(draw, clip.waveform) if self._train.augment_audio else clip.waveform
        return [self._row(draw, clip, wave, start) for start in starts]

    def _starts(self, draw: np.random.Generator, clip: PoseClip) -> list[int]:
        places = draw.permutation(measurable_starts(clip.known, self._window))
        chosen: list[int] = []
        for start in places.tolist():
            if all(abs(start - other) >= self._train.least_shift for other in chosen):
                chosen.append(start)
            if len(chosen) == self._train.group:
                break
        return chosen

    def _row(self, draw, clip, wave, start):
        w = self._window
        rotation = clip.rotation[start : start + w]
        factor = np.exp(draw.choice([-1, 1]) * draw.uniform(np.log(NEAR), np.log(FAR)))
        # After scaling, and as much on both: noise must not tell which of them is the true one.
        level = draw.uniform(0, self._train.pose_noise)
        noise = level * draw.standard_normal((2, *rotation.shape))
        negative = (factor * rotation + noise[1]).astype(np.float32)
        sound = wave[start * SAMPLES_PER_FRAME : (start + w) * SAMPLES_PER_FRAME]
        return (rotation + noise[0]).astype(np.float32), sound, negative

    def state(self) -> dict[str, Any]:
        """The place of the next window."""
        return {
            "epoch": self._epoch,
            "place": self._place,
            "offset": self._offset,
            "visits": len(self._visits),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a place; the folder must hold the same clips."""
        if state["visits"] != len(self._visits):
            raise UserError(
                "the data holds other clips than when the run was saved; put them back, or start "
                "in a new --workdir"
            )
        self._epoch, self._place = int(state["epoch"]), int(state["place"])
        self._offset = int(state["offset"])
