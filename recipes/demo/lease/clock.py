"""Wall-clock budgets of a run's parts, and learning rates that follow them."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

WARMUP = 0.05
"""Share of a part's seconds during which its rate rises."""
LAST = 1 / 30
"""Final rate of a part, relative to its highest."""


def ends_of(shares: Sequence[float], seconds: float) -> list[float]:
    """When each part ends, seconds after the first begins; `seconds` is the budget of all."""
    total, ends, passed = sum(shares), [], 0.0
    for share in shares:
        passed += seconds * share / total
        ends.append(passed)
    return ends


def rate_at(rate: float, share: float) -> float:
    """The learning rate after a share of a part's time: linear warmup, then a cosine."""
    share = min(max(share, 0.0), 1.0)
    if share < WARMUP:
        return rate * max(share / WARMUP, 0.02)
    fall = (share - WARMUP) / (1 - WARMUP)
    return rate * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * fall)))


@dataclass
class Clock:
    """The time that has passed and is left of a run. now: a clock, for tests."""

    seconds: float
    now: Callable[[], float] = time.monotonic
    began: float = field(init=False)
    stopped: bool = False

    def __post_init__(self):
        self.began = self.now()

    @property
    def passed(self) -> float:
        return self.now() - self.began

    @property
    def left(self) -> float:
        """Seconds; 0 once `stop` was called."""
        return 0.0 if self.stopped else self.seconds - self.passed

    def stop(self, *_: object) -> None:
        """End the run now; also a signal handler."""
        self.stopped = True
