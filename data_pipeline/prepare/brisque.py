"""BRISQUE: no-reference image quality from the statistics of local contrast.

A. Mittal, A. K. Moorthy, A. C. Bovik, "No-Reference Image Quality Assessment in the Spatial
Domain", IEEE TIP 2012: 36 features and a support vector regression trained on the LIVE database.
The regression comes from the zoo's `brisque`; no SVM library is needed to evaluate it.
"""

import math
import pickletools
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vasa_jax import zoo
from vasa_jax.errors import UserError
from vasa_jax.typing import Float, PortraitArray

FEATURES = 36
_KERNEL, _SIGMA, _C = 7, 7 / 6, 1 / 255
_GREY = (0.2125, 0.7154, 0.0721)
_SHAPES = np.arange(0.2, 10.0005, 0.001)
"""Shapes of the generalised Gaussian that a fit may give: the grid of the authors' code."""
_PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours whose products are looked at: right, below, both diagonals."""


class Svr(NamedTuple):
    """A radial basis regression: sum_i coefficient_i exp(-gamma |x - vector_i|^2) - rho, of
    features that low..high maps to -1..1."""

    vectors: Float[np.ndarray, "k 36"]
    coefficients: Float[np.ndarray, " k"]
    gamma: float
    rho: float
    low: Float[np.ndarray, "36"]
    high: Float[np.ndarray, "36"]


def brisque(image: PortraitArray, svr: Svr | None = None) -> float:
    """The score of an RGB picture, mostly 0 (best) to 100. svr: None takes the zoo's.

    The statistics are of pixels as the camera gave them: enlarging, sharpening and noise all count
    as damage. Raises UserError when the zoo's file cannot be had.
    """
    svr = svr or load_svr(zoo.ensure("brisque"))
    x = 2 * (features(image) - svr.low) / (svr.high - svr.low) - 1
    distances = np.square(svr.vectors - x).sum(1)
    return float(svr.coefficients @ np.exp(-svr.gamma * distances) - svr.rho)


def features(image: PortraitArray) -> Float[np.ndarray, "36"]:
    """18 features of the picture's luminance and 18 of its half (section III of the paper)."""
    grey = image.astype(np.float64) @ np.array(_GREY) / 255
    half = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
    return np.concatenate([_of_one_scale(grey), _of_one_scale(half)])


@lru_cache(maxsize=2)
def load_svr(path: Path) -> Svr:
    """A libsvm model file and, beside it, `normalize.pickle` with the ranges of the features.

    The pickle is never run: only its numbers are read off its opcodes. Raises UserError for files
    of another form.
    """
    try:
        ranges = (path.parent / "normalize.pickle").read_bytes()
        numbers = [value for op, value, _ in pickletools.genops(ranges) if op.name == "BINFLOAT"]
        low, high = np.array(numbers, np.float64).reshape(2, FEATURES)
        head, _, body = path.read_text().partition("\nSV\n")
        facts = dict(line.split(" ", 1) for line in head.splitlines())
        if (facts["svm_type"], facts["kernel_type"]) != ("epsilon_svr", "rbf"):
            raise ValueError("it is no regression with radial basis functions")
        lines = [line.split() for line in body.splitlines()]
        vectors = np.zeros((len(lines), FEATURES))
        for row, (_, *pairs) in zip(vectors, lines, strict=True):
            for pair in pairs:  # counted from 1; zeros are left out
                index, _, value = pair.partition(":")
                row[int(index) - 1] = float(value)
        coefficients = np.array([float(line[0]) for line in lines])
        gamma, rho = float(facts["gamma"]), float(facts["rho"])
        return Svr(vectors, coefficients, gamma, rho, low, high)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"{path} is not the model of BRISQUE ({error}); run `vasa-jax weights get "
            "brisque` to replace it"
        ) from None


def _of_one_scale(grey: np.ndarray) -> np.ndarray:
    normal = _contrast_normalised(grey)
    shape, _, left, right = _fit(normal)
    found = [shape, (left + right) / 2]
    for down, right_by in _PAIRS:
        a, b = normal, normal
        if down:
            a, b = a[:-1], b[1:]
        if right_by == 1:
            a, b = a[:, :-1], b[:, 1:]
        elif right_by == -1:
            a, b = a[:, 1:], b[:, :-1]
        found += _fit(a * b)
    return np.array(found)


def _contrast_normalised(grey: np.ndarray) -> np.ndarray:
    """(x - local mean) / (local deviation + C), in a Gaussian window; zeros beyond the edge."""
    window = cv2.getGaussianKernel(_KERNEL, _SIGMA, cv2.CV_64F)

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(x, cv2.CV_64F, window, window, borderType=cv2.BORDER_CONSTANT)

    mean = blur(grey)
    deviation = np.sqrt(np.abs(blur(grey * grey) - mean * mean))
    return (grey - mean) / (deviation + _C)


@lru_cache(maxsize=1)
def _moment_ratios() -> np.ndarray:
    """gamma(2/a)^2 / (gamma(1/a) gamma(3/a)) on the grid of shapes, rising with a."""
    lg = np.vectorize(math.lgamma)
    return np.exp(2 * lg(2 / _SHAPES) - lg(1 / _SHAPES) - lg(3 / _SHAPES))


def _fit(x: np.ndarray) -> list[float]:
    """Shape, mean, left and right variance of an asymmetric generalised Gaussian, by moments
    (N.-E. Lasmar et al., ICIP 2009)."""
    negative, positive = np.minimum(x, 0), np.maximum(x, 0)
    left = np.square(negative).sum() / max(np.count_nonzero(negative), 1)
    right = np.square(positive).sum() / max(np.count_nonzero(x >= 0), 1)
    ratio = np.sqrt(left / max(right, 1e-20))
    power = np.square(x).mean()
    if power < 1e-20:  # a flat picture has no contrast to fit
        return [float(_SHAPES[-1]), 0.0, 0.0, 0.0]
    moment = np.square(np.abs(x).mean()) / power
    moment *= (ratio**3 + 1) * (ratio + 1) / np.square(ratio**2 + 1)
    shape = float(np.interp(moment, _moment_ratios(), _SHAPES))
    lg1, lg2, lg3 = (math.lgamma(k / shape) for k in (1, 2, 3))
    mean = (np.sqrt(right) - np.sqrt(left)) * np.exp(lg2 - lg1 + (lg1 - lg3) / 2)
    return [shape, float(mean), float(left), float(right)]
