"""Cases that count their calls."""

from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.work import Work


class Bench:
    """Cases that count how often they are prepared and run."""

    def __init__(self):
        self.prepared, self.runs = [], 0

    def case(self, number, run=None):
        def prepare():
            self.prepared.append(number)
            return Ready(run or self.tick, 4, 0.5, Work(10**9, 10**6))

        return Case("toy", {"number": number}, "frames", prepare)

    def tick(self):
        self.runs += 1
