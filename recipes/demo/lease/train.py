"""The demo's training by wall-clock time, from the shipped weights on.

    scripts/train_demo.sh --scale lease --minutes 9 -o OUT [--assets DIR] [--vgg FILE]
    scripts/train_demo.sh --scale lease --rehearse -o OUT       # the same on two cores, toy sizes

Processes render heads, threads compile, and the parts (`parts.py`) train one after another from
pools in the device's memory. Each starts from the best parameters so far and is kept only if it
improves on held-out people. OUT holds `face-*.safetensors` (kept), `latest-*` (averages of the
running part, not checked yet) and `log.jsonl`; see docs/accelerator.md.
"""

import argparse
import math
import os
import signal
import sys
import time
from pathlib import Path

from vasa_jax.errors import UserError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

KEEP_EVERY = 60.0
"""Seconds between copies of a running part's averages."""
RESERVE = 20.0
"""Seconds kept for the last check and for writing."""
WAIT, TELL_EVERY = 0.2, 2.0
"""Seconds between polls of the rendering, and between lines of the log."""


def main(words: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="of all (default: 9; a rehearsal: 4)")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/lease"))
    parser.add_argument("--scale", choices=("lease",), default="lease", help=argparse.SUPPRESS)
    # What setup.sh sets on a machine that everything was carried to.
    words_given = {name: os.environ.get(f"LEASE_{name}") for name in ("ASSETS", "VGG")}
    given = {name: Path(value) if value else None for name, value in words_given.items()}
    text = "MakeHuman's assets (default: $LEASE_ASSETS, else painted skins)"
    parser.add_argument("--assets", type=Path, default=given["ASSETS"], help=text)
    text = "VGG-16 in place of the zoo's (default: $LEASE_VGG)"
    parser.add_argument("--vgg", type=Path, default=given["VGG"], help=text)
    parser.add_argument("--checkpoint", type=Path, help="a bundle to begin with (default: shipped)")
    parser.add_argument("--workers", type=int, help="drawing processes (default: cores less one)")
    parser.add_argument("--seed", type=int, default=900)
    parser.add_argument("--rehearse", action="store_true", help="toy sizes, for two CPU cores")
    arguments = parser.parse_args(words)
    from recipes.demo.lease.clock import Clock
    from recipes.demo.lease.parts import LEASE, REHEARSAL

    scale = REHEARSAL if arguments.rehearse else LEASE
    clock = Clock(60 * (arguments.minutes or (4 if arguments.rehearse else 9)))
    before = {number: signal.signal(number, clock.stop) for number in (signal.SIGTERM,)}
    try:
        idle = _Run(scale, arguments, clock).all()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not idle:
        # A compiling thread cannot be stopped; exit without it.
        sys.stdout.flush()
        os._exit(0)
    return 0


class _Run:
    """The state of one run."""

    def __init__(self, scale, arguments, clock):
        from recipes.demo.config import TRIES
        from recipes.demo.lease.compiling import Compiler
        from recipes.demo.lease.drawing import Drawing, plans_of
        from recipes.demo.lease.output import Output
        from recipes.demo.lease.pools import Pools
        from recipes.demo.lease.start import shipped_face
        from vasa_jax.compile_cache import enable_compile_cache
        from vasa_jax.perception.loss_networks import loss_networks

        self.scale, self.clock, self.seed = scale, clock, arguments.seed
        self.output = Output(arguments.output)
        workers = arguments.workers or max(1, (os.cpu_count() or 2) - 1)
        plans = plans_of(scale, arguments.seed, arguments.assets)
        self.drawing = Drawing(plans, scale.swaps, TRIES, workers)
        enable_compile_cache()
        # The last part has every loss that an earlier one has.
        last = scale.parts[-1].config
        self.perception, self.frozen = loss_networks(last, arguments.vgg)
        self.face = shipped_face(scale, arguments.checkpoint)
        self.compiler = Compiler(len(scale.parts), dict(scale.options))
        self.ready = [self._compile(part) for part in scale.parts]
        self.pools = Pools(scale)
        self.output.log(at=self._at(), note="begun", workers=workers, device=_device())

    def _at(self) -> float:
        return round(self.clock.passed, 1)

    def all(self) -> bool:
        """Run all parts in order; whether no thread is compiling any more."""
        try:
            self._wait(lambda: self.pools.counts[0] >= self.scale.least and self.pools.whole)
            for number, part in enumerate(self.scale.parts):
                self._wait(self.ready[number].done)
                left = self.clock.left - RESERVE
                if left <= 0 or not self.ready[number].done():
                    self.output.log(at=self._at(), note="no time is left", part=part.name)
                    break
                # Shares of what is left: a late program shortens all remaining parts alike.
                rest = sum(other.share for other in self.scale.parts[number:])
                self._try(number, part, self.clock.passed + left * part.share / rest)
        finally:
            self.drawing.close()
            idle = self.compiler.close()
            self.output.log(at=self._at(), note="ended", groups=self.pools.counts[0], idle=idle)
        return idle

    def _wait(self, done) -> None:
        while not done() and self.clock.left > 0:
            self.pools.fill(self.drawing)
            time.sleep(WAIT)

    def _try(self, number: int, part, end: float) -> None:
        """Run one part. A failure is logged and ends this part alone; out of memory: again, half
        the batch."""
        try:
            self._part(number, part, end)
        except UserError:
            raise
        except Exception as error:  # XLA's errors have no common kind
            why = str(error).strip()[:500] or type(error).__name__
            self.output.log(at=self._at(), part=part.name, failed=why)
            if "RESOURCE_EXHAUSTED" not in why or part.batch < 2:
                return
            smaller = part.with_batch(part.batch // 2)
            self.ready[number] = self._compile(smaller)
            self._wait(self.ready[number].done)
            if self.ready[number].done():
                self._try(number, smaller, end)

    def _compile(self, part):
        from recipes.demo.lease.compiling import shapes_of
        from recipes.demo.lease.programs import programs_of
        from vasa_jax.training.mesh import single_device

        programs = programs_of(part, self.perception, single_device())
        return self.compiler.give(programs, shapes_of(self.scale, programs, self.frozen))

    def _part(self, number: int, part, end: float) -> None:
        import jax

        from recipes.demo.lease import programs as steps
        from recipes.demo.lease.start import gate_params, laid_over, params_of, read_outs

        ready = self.ready[number].result()
        programs, held = ready.programs, (self.pools.held, self.pools.counts[1])
        self.output.log(
            at=self._at(),
            part=part.name,
            compiled=ready.seconds,
            bytes=ready.memory,
            flops=ready.flops,
        )
        heads = {}
        if part.kind == "dyn":
            heads = read_outs(programs.config.face.dyn_dim, *self.pools.looks())
        params = params_of(part, self.face, heads)
        first = steps.measure(programs, gate_params(part, self.face, params), *held)
        state = steps.begin(programs, ready.state, params)
        state, fine = self._train(number, part, programs, state, end)
        ema = jax.device_get(state.ema)
        last = steps.measure(programs, gate_params(part, self.face, ema), *held)
        keep = fine and steps.better(part.kind, last, first)
        self.output.log(
            at=self._at(),
            part=part.name,
            steps=int(state.step),
            kept=keep,
            before=first,
            after=last,
        )
        if keep:
            self.face = laid_over(part, self.face, ema)
            self.output.save("face", self.face, {"part": part.name, "figures": last})

    def _train(self, number, part, programs, state, end):
        """Dispatch until `end`, and longer while the next part is compiling. Returns the state, and
        whether the losses stayed finite."""
        import jax
        import jax.numpy as jnp

        from recipes.demo.lease.clock import rate_at
        from recipes.demo.lease.start import laid_over

        begin, kept, took, frozen = self.clock.passed, self.clock.passed, 0.0, self.frozen
        frozen = frozen if part.kind == "generator" else {}
        # On a CPU, training on would only slow the compiler down.
        apart = jax.default_backend() != "cpu"
        told, waiting = -TELL_EVERY, self.ready[number + 1 :][:1] if apart else []
        while self.clock.left > RESERVE / 2 + took:
            over = self.clock.passed + took > end
            if over and took and all(one.done() for one in waiting):
                break
            self.pools.fill(self.drawing)
            share = (self.clock.passed - begin) / max(end - begin, 1e-6)
            rate, before = rate_at(part.rate, share), time.monotonic()
            state, metrics = programs.run(
                state,
                frozen,
                self.pools.train,
                jnp.int32(self.pools.counts[0]),
                jnp.int32(self.seed + number),
                jnp.float32(rate),
            )
            values = {name: float(value) for name, value in jax.device_get(metrics).items()}
            took = time.monotonic() - before
            if self.clock.passed - told > TELL_EVERY:
                told = self.clock.passed
                about = {"part": part.name, "step": int(state.step), "took": round(took, 3)}
                self.output.log(at=self._at(), **about, groups=self.pools.counts[0], **values)
            if not all(map(math.isfinite, values.values())):
                self.output.log(at=self._at(), part=part.name, note="a loss is not finite")
                return state, False
            if self.clock.passed - kept > KEEP_EVERY:
                kept = self.clock.passed
                whole = laid_over(part, self.face, jax.device_get(state.ema))
                self.output.save("latest", whole, {"part": part.name, "step": int(state.step)})
        return state, True


def _device() -> str:
    import jax

    return f"{jax.devices()[0].device_kind}, jax {jax.__version__}"


if __name__ == "__main__":
    from vasa_jax.signals import exit_with

    exit_with(main)
