"""The metrics of one video, a module each, in the order of the report."""

from vasa_jax.score.metrics.capp import CAPP, CAPP_SYNTHETIC
from vasa_jax.score.metrics.eyes import EYES
from vasa_jax.score.metrics.head import HEAD
from vasa_jax.score.metrics.identity import IDENTITY_DRIFT, IDENTITY_PAIR
from vasa_jax.score.metrics.motion_pair import MOTION_PAIR
from vasa_jax.score.metrics.mouth import MOUTH, MOUTH_LOUDNESS
from vasa_jax.score.metrics.pixels import PIXELS
from vasa_jax.score.metrics.soft_dtw import SOFT_DTW
from vasa_jax.score.metrics.sync import AV_SYNC_METRIC, SYNCNET_METRIC
from vasa_jax.score.metrics.theval import THEVAL_MOTION, THEVAL_SOUND
from vasa_jax.score.types import Metric

METRICS: tuple[Metric, ...] = (
    SYNCNET_METRIC,
    AV_SYNC_METRIC,
    CAPP,
    CAPP_SYNTHETIC,
    HEAD,
    MOUTH,
    MOUTH_LOUDNESS,
    EYES,
    THEVAL_MOTION,
    THEVAL_SOUND,
    IDENTITY_DRIFT,
    IDENTITY_PAIR,
    MOTION_PAIR,
    SOFT_DTW,
    PIXELS,
)
FROM_FRAMES: tuple[Metric, ...] = tuple(m for m in METRICS if m not in (SYNCNET_METRIC, CAPP))
"""Those that need nothing but a `Track` made of frames in memory, and what ships."""
