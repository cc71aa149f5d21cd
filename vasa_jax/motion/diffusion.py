"""Diffusion with x0 prediction: noise schedules, losses and samplers.

Every sampler here is, per step, the same linear update with its own numbers,
    x' = row.x * x + row.x0 * x0 + row.previous * x0_of_the_last_step + row.noise * n,
so that a sampler is a table made once in float64, and the loop is one scan over its rows.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from vasa_jax.config import DiffusionConfig, MotionTrainConfig
from vasa_jax.means import Means, Term, weighted
from vasa_jax.typing import Array, Bool, Float, Int


@dataclass(frozen=True)
class Schedule:
    """A variance schedule; steps count 0..timesteps-1.

    kind: "cosine" (Improved DDPM, eq. 17, s = 0.008, betas at most 0.999) or "linear" (DDPM: 1e-4
    to 0.02 over 1000 steps, scaled by 1000 / timesteps, so that the end is noise for any number).
    """

    kind: str = "cosine"
    timesteps: int = 1000

    @cached_property
    def betas(self) -> Float[np.ndarray, " t"]:
        """Variances of the single steps, float64."""
        if self.kind == "linear":
            scale = 1000 / self.timesteps
            betas = np.linspace(1e-4 * scale, 0.02 * scale, self.timesteps, dtype=np.float64)
        else:
            u = np.arange(self.timesteps + 1, dtype=np.float64) / self.timesteps
            signal = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
            betas = 1 - signal[1:] / signal[:-1]
        return np.minimum(betas, 0.999)

    @cached_property
    def alphas_bar(self) -> Float[np.ndarray, " t"]:
        """Share of the signal's variance that is left after each step, float64."""
        return np.cumprod(1 - self.betas)


def q_sample(
    schedule: Schedule, x0: Float[Array, "b w m"], t: Int[Array, " b"], noise: Float[Array, "b w m"]
) -> Float[Array, "b w m"]:
    """x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise (DDPM, eq. 4)."""
    signal = jnp.asarray(np.sqrt(schedule.alphas_bar), jnp.float32)[t]
    sigma = jnp.asarray(np.sqrt(1 - schedule.alphas_bar), jnp.float32)[t]
    return signal[:, None, None] * x0 + sigma[:, None, None] * noise


def x0_terms(
    prediction: Float[Array, "b w m"],
    target: Float[Array, "b w m"],
    valid: Bool[Array, "b w"],
    config: MotionTrainConfig,
    before: Float[Array, "b k m"] | None = None,
    has_before: Bool[Array, " b"] | None = None,
) -> list[Term]:
    """Mean squared error over valid frames, and what may be added to it.

    Optional, both off in the paper: "velocity", the squared error of first differences, and
    "smoothness", the squared second difference of the prediction (DiffPoseTalk section 3.3). A
    difference counts where all its frames are valid.

    before, has_before: the context frames that the network saw, and whether it saw any. Differences
    across the window's start count then too: without them nothing but x0's own error says that a
    window must go on where the last one ended.
    """
    terms: list[Term] = [("x0", 1.0, _masked_mean((prediction - target) ** 2, valid))]

    def led(frames, known, count):
        if before is None:
            return frames, known
        lead = before[:, -count:]
        seen = jnp.broadcast_to(has_before[:, None], lead.shape[:2])
        return jnp.concatenate([lead, frames], 1), jnp.concatenate([seen, known], 1)

    if config.velocity_weight:
        (ours, known), (truth, _) = led(prediction, valid, 1), led(target, valid, 1)
        error = jnp.diff(ours, axis=1) - jnp.diff(truth, axis=1)
        value = _masked_mean(error**2, known[:, 1:] & known[:, :-1])
        terms.append(("velocity", config.velocity_weight, value))
    if config.smoothness_weight:
        ours, known = led(prediction, valid, 2)
        bend = jnp.diff(ours, n=2, axis=1)
        value = _masked_mean(bend**2, known[:, 2:] & known[:, 1:-1] & known[:, :-2])
        terms.append(("smoothness", config.smoothness_weight, value))
    return terms


def _masked_mean(values, valid) -> Means:
    # Chosen and not multiplied: what is invalid need not be finite after differences.
    return weighted(jnp.where(valid[..., None], values, 0.0), valid[..., None].astype(jnp.float32))


class StepTable(NamedTuple):
    """The rows of a sampler, in the order they run; the last row always returns x0 itself."""

    t: Int[np.ndarray, " s"]
    x: Float[np.ndarray, " s"]
    x0: Float[np.ndarray, " s"]
    previous: Float[np.ndarray, " s"]
    noise: Float[np.ndarray, " s"]


@runtime_checkable
class Sampler(Protocol):
    """Turns a schedule into the table of its update."""

    def table(self, schedule: Schedule, steps: int) -> StepTable:
        """The rows of `steps` network evaluations."""
        ...


def spaced_timesteps(spacing: str, timesteps: int, steps: int) -> Int[np.ndarray, " s"]:
    """`steps` of the `timesteps`, noisy to clean (Common Diffusion Noise Schedules, table 2).

    "trailing" starts at the last step, where training saw pure noise; "leading" ends at 0 but never
    visits the last step; "linspace" holds both ends.
    """
    if spacing == "trailing":
        chosen = np.round(np.arange(steps, 0, -1) * (timesteps / steps)) - 1
    elif spacing == "leading":
        chosen = np.arange(steps)[::-1] * (timesteps // steps)
    else:
        # A single step must start from pure noise, which linspace(0, T - 1, 1) would not.
        chosen = np.round(np.linspace(timesteps - 1, 0, steps))
    return chosen.astype(np.int32)


def _noise_levels(schedule, spacing, steps):
    """The steps, and the alphas_bar before and after each: after the last one all is signal."""
    t = spaced_timesteps(spacing, schedule.timesteps, steps)
    before = schedule.alphas_bar[t]
    return t, before, np.append(before[1:], 1.0)


@dataclass(frozen=True, kw_only=True)
class DDIM:
    """DDIM (eq. 12 and 16); eta 0 is deterministic, eta 1 as noisy as DDPM.

    Each step goes to the level of the next step that is visited; diffusers goes to t - T // steps,
    which is the same where steps divides T and the spacing is trailing or leading.
    """

    eta: float = 0.0
    spacing: str = "trailing"

    def table(self, schedule: Schedule, steps: int) -> StepTable:
        """The rows of `steps` network evaluations."""
        t, a, a_next = _noise_levels(schedule, self.spacing, steps)
        sigma = self.eta * np.sqrt((1 - a_next) / (1 - a) * (1 - a / a_next))
        x = np.sqrt(np.maximum(1 - a_next - sigma**2, 0) / (1 - a))
        return _rounded(t, x, np.sqrt(a_next) - x * np.sqrt(a), np.zeros_like(x), sigma)


@dataclass(frozen=True, kw_only=True)
class DPMSolver2M:
    """DPM-Solver++(2M) (algorithm 2, midpoint form); first order at the first and the last step."""

    spacing: str = "trailing"

    def table(self, schedule: Schedule, steps: int) -> StepTable:
        """The rows of `steps` network evaluations."""
        t, a, a_next = _noise_levels(schedule, self.spacing, steps)
        log_snr = 0.5 * (np.log(a) - np.log1p(-a))
        h = np.diff(log_snr)
        full = -np.sqrt(a_next[:-1]) * np.expm1(-h)
        correction = np.zeros_like(full)
        correction[1:] = 0.5 * full[1:] * h[1:] / h[:-1]
        x = np.sqrt((1 - a_next[:-1]) / (1 - a[:-1]))
        last = np.zeros(1), np.ones(1), np.zeros(1)
        columns = (x, full + correction, -correction)
        joined = [np.concatenate(pair) for pair in zip(columns, last, strict=True)]
        return _rounded(t, *joined, np.zeros(steps))


def _rounded(t, *columns):
    return StepTable(t, *(c.astype(np.float32) for c in columns))


def make_sampler(config: DiffusionConfig) -> DDIM | DPMSolver2M:
    """The sampler that `config` names: "ddim" or "dpmpp2m"."""
    if config.sampler == "dpmpp2m":
        return DPMSolver2M(spacing=config.spacing)
    return DDIM(eta=config.eta, spacing=config.spacing)


def step(
    row: StepTable,
    x: Float[Array, "b w m"],
    x0: Float[Array, "b w m"],
    previous: Float[Array, "b w m"],
    noise: Float[Array, "b w m"] | None = None,
) -> Float[Array, "b w m"]:
    """One update by one row of a table; `previous` is x0 of the step before (zeros at first)."""
    x = row.x * x + row.x0 * x0 + row.previous * previous
    return x if noise is None else x + row.noise * noise
