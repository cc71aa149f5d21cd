"""The benchmarked model, and the options of its benchmarks."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.bundle import Bundle, abstract_params, load_bundle
from vasa_jax.bundle_places import resolve_folder
from vasa_jax.config import Config
from vasa_jax.config.overrides import apply_overrides
from vasa_jax.inference.programs import inference_params
from vasa_jax.motion.stats import MotionStats
from vasa_jax.params import flatten, unflatten
from vasa_jax.typing import POSE_DIM, SAMPLE_RATE, Float, PortraitArray


class Options(NamedTuple):
    """Options of the command line; None: the benchmark's own values."""

    batches: tuple[int, ...] | None = None
    sizes: tuple[int, ...] | None = None  # images, pixels
    steps: tuple[int, ...] | None = None  # sampler
    seconds: float = 10.0  # length of a clip
    full: bool = False  # every combination of settings, instead of one varied at a time
    data: Path | None = None  # dataset of the loader
    # (folder, config, batch) -> an endless iterator of batches
    open_loader: Callable[[Path, Config, int], Iterator[Any]] | None = None


class BenchmarkModel:
    """A config with parameters on the default device.

    The weights of the checkpoint or the shipped ones, else random numbers of a plausible scale:
    speed does not depend on them. They are drawn by numpy, since compiling the initialisers takes
    minutes.
    """

    def __init__(
        self,
        config: Config,
        overrides: Sequence[str] = (),
        checkpoint: Path | None = None,
        options: Options | None = None,
    ):
        self.config, self.overrides = config, sorted(overrides)
        self.options = options or Options()
        self._checkpoint = checkpoint

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that every row has."""
        return {
            "config": self.config.name,
            "set": self.overrides,
            "precision": self.config.precision,
        }

    def change(self, *overrides: str) -> Config:
        """The config with overrides. Raises UserError for invalid ones."""
        return apply_overrides(self.config, overrides)

    @cached_property
    def bundle(self) -> Bundle:
        """The whole model."""
        folder = resolve_folder(self.config.name, self._checkpoint)
        if folder is not None:
            return load_bundle(folder, None, self.overrides)
        params = random_params(abstract_params(self.config))
        dim = self.config.face.motion_dim
        std = np.ones(dim, np.float32)
        std[:POSE_DIM] = 0.05  # keeps the head inside the image
        return Bundle(self.config, params, MotionStats(np.zeros(dim, np.float32), std), False)

    @cached_property
    def params(self) -> dict:
        """Parameters in the form that inference uses."""
        return jax.jit(inference_params, static_argnums=1)(self.bundle.params, self.config.dtype)


def random_params(shapes: Any, seed: int = 0) -> Any:
    """Arrays for a tree of shapes: kernels normal / sqrt(fan-in), scales 1, biases 0."""
    rng, made = np.random.default_rng(seed), {}
    specs: dict[str, Any] = flatten(shapes)
    for name, spec in specs.items():
        value: np.ndarray
        last = name.rpartition("/")[2]
        if last in ("scale", "var"):
            value = np.ones(spec.shape, np.float32)
        elif len(spec.shape) < 2:
            value = np.zeros(spec.shape, np.float32)
        else:
            value = rng.standard_normal(spec.shape, np.float32)
            value /= np.sqrt(max(1, value.size // value.shape[-1]))
        made[name] = jnp.asarray(value, spec.dtype)
    return unflatten(made)


def fake_portrait(size: int) -> PortraitArray:
    """A smooth test image."""
    y, x = np.mgrid[:size, :size] / size
    image = np.stack([x, y, 0.5 + 0.5 * np.sin(9 * x * y)], axis=-1)
    return np.round(255 * image).astype(np.uint8)


def fake_speech(seconds: float) -> Float[np.ndarray, " n"]:
    """A 140 Hz tone, amplitude-modulated at the rate of syllables, 16 kHz."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    hum = 0.4 * np.sin(2 * np.pi * 140 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return hum.astype(np.float32)
