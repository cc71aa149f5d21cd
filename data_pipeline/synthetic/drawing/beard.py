"""Beards and moustaches: regions of their colour and of their thickness over the skin."""

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.maths import step

STYLES = ("moustache", "goatee", "chin", "full", "long")


def beard(style: str, place: np.ndarray) -> np.ndarray:
    """How much beard grows at places of the mesh at rest, in [0, 1]; never on the lips."""
    x, y, z = np.moveaxis(np.asarray(place, np.float32), -1, 0)
    side = np.abs(x)
    lip = np.exp(-((side - 0.12) ** 2) / 0.035 - ((y - 6.835 + 0.25 * side) / 0.055) ** 2)
    lip *= step(z, 1.2, 1.4) * step(-side, -0.36, -0.27)
    chin = step(-y, -6.47, -6.38) * step(z, 0.9, 1.1) * step(y, 6.0, 6.15)
    jaw = step(-y - 0.06 * step(z, 0.8, 1.3), -6.86, -6.7) * step(z, 0.42, 0.6) * step(y, 6.0, 6.25)
    jaw *= step(side, 0.30, 0.42)
    round_mouth = step(-np.abs(np.hypot((side - 0.0) / 1.1, y - 6.6) - 0.33), -0.09, -0.03)
    round_mouth *= step(z, 1.0, 1.2)
    parts = {
        "moustache": (lip,),
        "chin": (chin * step(-side, -0.28, -0.16),),
        "goatee": (lip, chin * step(-side, -0.36, -0.24), round_mouth * step(-y, -6.9, -6.8)),
        "full": (lip, chin, jaw, round_mouth * step(-y, -6.9, -6.8)),
        "long": (lip, chin, jaw, round_mouth * step(-y, -6.9, -6.8)),
    }[style]
    mouth = step(np.hypot(side / 0.36, (y - 6.62) / 0.17), 0.8, 1.05)
    return np.maximum.reduce(parts) * np.where(y > 6.78, 1.0, mouth)
