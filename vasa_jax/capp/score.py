"""CAPP's score of a video: how well its head motion goes with its sound."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.audio.level import at_speech_level
from vasa_jax.capp.network import Capp, build_capp
from vasa_jax.capp.poses import fill_gaps, measurable_starts
from vasa_jax.capp.weights import CappWeights, load_capp
from vasa_jax.config.capp import CappConfig
from vasa_jax.errors import UserError
from vasa_jax.typing import SAMPLES_PER_FRAME, Float, Int

STRIDE = 25
"""Frames between the beginnings of two windows: 1 s, so that neighbours share two thirds."""
BATCH = 8
"""Windows that are embedded at once: one shape, one compilation, bounded memory."""


class CappScorer:
    """A trained CAPP. Calling it gives the score of a clip, `windows` the score of each window.

    Attributes: config; step of its training.
    """

    def __init__(self, weights: CappWeights):
        self.config: CappConfig = weights.config
        self.step = weights.step
        self._network = build_capp(weights.config)
        self._params = jax.device_put(weights.params)

    def __call__(
        self, rotation: Float[np.ndarray, "t 3"], waveform: Float[np.ndarray, " n"]
    ) -> float:
        """Mean cosine of the embeddings of pose and sound over windows of 3 s, one a second, -1..1.

        rotation: pitch, yaw, roll in radians (`vasa_jax.typing.Pose`) at 25 fps, not finite where
        no face was found. waveform: 16 kHz in [-1, 1]; sound that ends before the pictures is
        continued by silence, what is longer is left out. A window in which more than a quarter of
        the poses is missing is not measured, nor is one without any sound or without any motion,
        where nothing can go together. NaN where no window can be measured.
        """
        found = self.windows(rotation, waveform)
        measured = found[np.isfinite(found)]
        return float(measured.mean()) if len(measured) else float("nan")

    def windows(
        self,
        rotation: Float[np.ndarray, "t 3"],
        waveform: Float[np.ndarray, " n"],
        starts: Int[np.ndarray, " w"] | None = None,
        shift: int = 0,
    ) -> Float[np.ndarray, " w"]:
        """The cosine of each window, NaN where it is not measured.

        starts: first frames of the windows, default: every `STRIDE` frames. shift: the sound is
        taken so many frames later than the pose; windows whose sound would leave the clip are not
        measured.
        """
        if rotation.ndim != 2 or rotation.shape[1] != 3 or waveform.ndim != 1:
            raise UserError(
                f"CAPP takes a rotation of shape (t, 3) and one row of samples, not "
                f"{rotation.shape} and {waveform.shape}"
            )
        w, count = self.config.capp.window, len(rotation)
        if starts is None:
            starts = np.arange(0, max(count - w + 1, 0), STRIDE)
        filled, known = fill_gaps(rotation.astype(np.float32))
        sound = _whole(waveform, count)
        measurable = np.isin(starts, measurable_starts(known, w))
        measurable &= (starts + shift >= 0) & (starts + shift + w <= count)
        found = np.full(len(starts), np.nan, np.float32)
        todo: list[int] = []
        for i in np.flatnonzero(measurable).tolist():
            pose, heard = self._window(filled, sound, int(starts[i]), shift)
            if np.ptp(pose, 0).any() and heard.any():
                todo.append(i)
        for first in range(0, len(todo), BATCH):
            part = todo[first : first + BATCH]
            rows = [self._window(filled, sound, int(starts[i]), shift) for i in part]
            found[part] = self.cosines(*(np.stack(column) for column in zip(*rows, strict=True)))
        return found

    def cosines(
        self, rotation: Float[np.ndarray, "b t 3"], waveform: Float[np.ndarray, "b n"]
    ) -> Float[np.ndarray, " b"]:
        """Of at most `BATCH` windows of a clip that has been brought to the level of speech."""
        lacking = BATCH - len(rotation)
        pose = np.pad(rotation, ((0, lacking), (0, 0), (0, 0)))
        sound = np.pad(waveform, ((0, lacking), (0, 0)))
        return np.asarray(_cosines(self._network, self._params, pose, sound))[: len(rotation)]

    def _window(self, rotation, sound, start, shift):
        w, heard = self.config.capp.window, start + shift
        return (
            rotation[start : start + w],
            sound[heard * SAMPLES_PER_FRAME : (heard + w) * SAMPLES_PER_FRAME],
        )


def load(folder: Path | str | None = None, audio_weights: Path | None = None) -> CappScorer:
    """The scorer of a folder of `vasa-jax export`, default: `capp_synthetic`, which ships.

    audio_weights: the file of a frozen speech network, default: the zoo's. Raises UserError as
    `load_capp` does.
    """
    return CappScorer(load_capp(folder, audio_weights))


@partial(jax.jit, static_argnames="network")
def _cosines(network: Capp, params: Any, rotation: Any, waveform: Any) -> Any:
    found: Any = network.apply({"params": params}, rotation, waveform)
    pose, audio, _ = found
    return (pose * audio).sum(-1).astype(jnp.float32)


def _whole(waveform: np.ndarray, frames: int) -> np.ndarray:
    """Samples of so many frames at the level of speech; silence where the sound ends early."""
    samples = frames * SAMPLES_PER_FRAME
    wave = np.asarray(waveform[:samples], np.float32)
    if not np.isfinite(wave).all():
        raise UserError("the audio clip has samples that are not finite; decode the file again")
    return np.pad(at_speech_level(wave), (0, samples - len(wave)))
