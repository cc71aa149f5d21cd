"""CAPP: how well head motion goes with the sound (VASA-1, section 4.2)."""

import numpy as np

from vasa_jax.score.metrics.sync import face_and_sound
from vasa_jax.score.types import Metric, Spec, Tools, Track

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
        """Mean over windows of 3 s; not defined without one that has a face, motion and sound."""
        sound = face_and_sound(track)
        return {key: float(tools(tool)(np.asarray(track.faces.rotation, np.float32), sound))}

    return measure


CAPP_SYNTHETIC = Metric("CAPP, synthetic", SYNTHETIC, _measure("capp_synthetic", "capp_synthetic"))
CAPP = Metric("CAPP", OWN, _measure("capp", "capp"))
