"""Identity preservation: distance to the source portrait, and to the driver."""

import numpy as np

from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.types import SAME_PERSON, AnalyzedFrames, MetricNetworks
from vasa_jax.typing import Float


def add_identity(
    samples: Samples,
    prefix: str,
    group: str,
    networks: MetricNetworks,
    ours: AnalyzedFrames,
    source: AnalyzedFrames,
    driver: AnalyzedFrames | None = None,
) -> None:
    """Add `prefix`.identity_distance and .same_person of frames against one source image.

    With a driver, one frame of another person for each of ours, also add `prefix`.nearer_source:
    whether ours is nearer to the source than to its driver, which needs no threshold. A frame
    without a detected face counts as neither the same person nor nearer; where the source (or the
    driver) has none, the value is missing.
    """
    if networks.embed is None:
        return
    reference = identity_vectors(networks, source)
    vectors = identity_vectors(networks, ours)
    distance = np.linalg.norm(vectors - reference, axis=-1)
    known = source.measurements.found()[0]
    distance_or_inf = np.nan_to_num(distance, nan=np.inf)
    same = np.where(known, distance_or_inf < SAME_PERSON, np.nan)
    samples.add(f"{prefix}.identity_distance", group, distance)
    samples.add(f"{prefix}.same_person", group, same)
    if driver is not None:
        to_driver = np.linalg.norm(vectors - identity_vectors(networks, driver), axis=-1)
        known = known & driver.measurements.found()
        nearer = distance_or_inf < np.nan_to_num(to_driver, nan=-np.inf)
        samples.add(f"{prefix}.nearer_source", group, np.where(known, nearer, np.nan))


def identity_vectors(
    networks: MetricNetworks, analyzed: AnalyzedFrames
) -> Float[np.ndarray, "t e"]:
    """Identity vectors of frames; rows of NaN where no face is detected."""
    if networks.embed is None:
        raise ValueError("identity vectors need an `embed` network")
    known = analyzed.measurements.found()
    if not known.any():
        return np.full((len(known), 1), np.nan)
    points = analyzed.measurements.points[known].astype(np.float32)
    found = np.asarray(networks.embed(analyzed.frames[known], points))
    rows = np.full((len(known), found.shape[-1]), np.nan)
    rows[known] = found
    return rows
