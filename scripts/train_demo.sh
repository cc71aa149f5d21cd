#!/bin/sh
# Train the weights of `--config demo`, all of it, in one command. Run it again to go on.
#
#   scripts/train_demo.sh [--scale cpu|gpu] [--work DIR] [--data DIR] [--assets DIR]
#                         [--seconds N] [--copy DIR] [--dry N]
#
# --scale    how large and how long: cpu (128 px) or gpu (256 px). Default: what JAX finds.
# --work     checkpoints (default: results/train_demo). --data: the corpus (default: WORK/data), drawn
#            here if it is not there (--assets: with MakeHuman's assets): that needs EGL and an hour
#            or more of CPU; for a lent accelerator make it before, and carry it.
# --seconds  of one slice (default: no limit): training stops in time, saves, and the same command
#            goes on. --copy DIR: also keep a small copy of the state there, in files of at most
#            16 MiB and 60 MiB in all; a machine that has only the copy goes on from it.
# --dry N    N steps of 2 examples in every stage, in WORK/dry, on a tiny corpus if there is none.
#
# Training itself needs jax, flax, optax, orbax and OpenCV alone.
set -e
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
exec "$python" scripts/train_demo.py "$@"
