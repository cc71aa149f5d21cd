"""CAPP: how well head motion goes with the sound (VASA-1, section 4.2)."""

import numpy as np

from vasa_jax.score.metrics.sync import seen_and_heard
from vasa_jax.score.types import Metric, Spec, Tools, Track
from vasa_jax.typing import SAMPLES_PER_FRAME

SYNTHETIC = {
    "capp_synthetic": Spec(
        "CAPP, synthetic",
        "cosine",
        "as the real videos",
        "VASA-1 section 4.2's recipe, trained on synthetic heads alone: not the paper's network",
    )
}
OWN = {
    "capp": Spec(
        "CAPP of --capp",
        "cosine",
        "as the real videos",
        "VASA-1 section 4.2's recipe, trained by `vasa-jax train capp`",
    )
}


def _measure(tool: str, key: str):
    def measure(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
        """Mean over windows of 3 s of the longest run of frames with a face."""
        run = seen_and_heard(track)
        score = tools(tool)
        part = track.sound()[run.start * SAMPLES_PER_FRAME : run.stop * SAMPLES_PER_FRAME]
        return {key: float(score(np.asarray(track.faces.rotation[run], np.float32), part))}

    return measure


CAPP_SYNTHETIC = Metric("CAPP, synthetic", SYNTHETIC, _measure("capp_synthetic", "capp_synthetic"))
CAPP = Metric("CAPP", OWN, _measure("capp", "capp"))
