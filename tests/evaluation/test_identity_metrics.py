"""Identity metrics of known distances, with and without detected faces."""

import numpy as np
import pytest

from tests.evaluation import helpers
from vasa_jax.evaluation.identity_metrics import add_identity, identity_vectors
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.types import AnalyzedFrames


def frames_of(*greens, lost=()):
    """One frame for each identity; those numbered `lost` have no detected face."""
    motion = np.zeros((1, helpers.NUMBERS))
    frames = np.concatenate([helpers.render(np.array([g, 0], np.uint8), motion) for g in greens])
    found = helpers.measure(frames, False)
    found.rotation[list(lost)] = np.nan
    return AnalyzedFrames(frames, found)


def test_distance_threshold_and_driver():
    samples = Samples()
    # Eight levels are one unit: 0.5 and 2 from the source, 7.5 and 6 from the driver; one is lost.
    ours, source, driver = frames_of(4, 16, 0, lost=[2]), frames_of(0), frames_of(64, 64, 64)
    add_identity(samples, "x", "anna", helpers.NETWORKS, ours, source, driver)
    distance, same, nearer = (
        samples.summary(f"x.{name}")
        for name in ("identity_distance", "same_person", "nearer_source")
    )
    assert (distance.count, distance.missing, distance.mean) == (2, 1, 1.25)
    assert (same.count, same.mean) == (3, pytest.approx(1 / 3))
    assert (nearer.count, nearer.mean) == (3, pytest.approx(2 / 3))


def test_a_source_without_a_face_leaves_everything_missing():
    samples = Samples()
    ours, source, driver = frames_of(4, 16), frames_of(0, lost=[0]), frames_of(64, 64)
    add_identity(samples, "x", "anna", helpers.NETWORKS, ours, source, driver)
    for name in ("identity_distance", "same_person", "nearer_source"):
        found = samples.summary(f"x.{name}")
        assert (found.count, found.missing) == (0, 2)


def test_without_a_network_nothing_is_added():
    samples, networks = Samples(), helpers.NETWORKS._replace(embed=None)
    add_identity(samples, "x", "anna", networks, frames_of(4), frames_of(0))
    assert samples.names() == []
    with pytest.raises(ValueError, match="embed"):
        identity_vectors(networks, frames_of(4))
