#!/bin/sh
# Train the weights of `--config demo`, all of it, in one command. Run it again to go on.
#
#   scripts/train_demo.sh [--scale cpu|gpu] [--work DIR] [--data DIR] [--assets DIR]
#                         [--seconds N] [--dry N]
#
# --scale    how large and how long: cpu (128 px) or gpu (256 px). Default: what JAX finds.
# --work     checkpoints (default: results/train_demo). --data: the corpus (default: WORK/data), drawn
#            here if it is not there (--assets: with MakeHuman's assets): that needs EGL and an hour
#            or more of CPU.
# --seconds  of one slice (default: no limit): training stops in time, saves, and the same command
#            goes on.
# --dry N    N steps of 2 examples in every stage, in WORK/dry, on a tiny corpus if there is none.
#
#   scripts/train_demo.sh --scale lease --minutes 9 [-o OUT] [--rehearse]
#
# trains on a lent accelerator by the clock instead, from the shipped weights on: docs/accelerator.md.
#
# Training itself needs jax, flax, optax, orbax and OpenCV alone.
set -e
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
case " $* " in
*" --scale lease "*) exec "$python" -m recipes.demo.lease.train "$@" ;;
esac
exec "$python" -m recipes.demo.train "$@"
