#!/bin/sh
# mypy over the package as it is installed. `configs/` and `data_pipeline/` lie beside `vasa_jax/` and
# join it when it is imported, which no type checker follows: build/types holds links to all three,
# as the wheel does.
#
#   scripts/typecheck.sh [PACKAGE ...]        (default: vasa_jax recipes)
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
case "$python" in /*) ;; */*) python="$PWD/$python" ;; esac
tree="$PWD/build/types"
rm -rf "$tree"
mkdir -p "$tree"
cp -rs "$PWD/vasa_jax" "$PWD/recipes" "$tree/"
cp -rs "$PWD/configs" "$PWD/data_pipeline" "$tree/vasa_jax/"
[ $# -gt 0 ] || set -- vasa_jax recipes
cache="$PWD/.mypy_cache"
settings="$PWD/pyproject.toml"
cd "$tree"
args=""
for package in "$@"; do args="$args -p $package"; done
# shellcheck disable=SC2086 # one word an argument
exec "$python" -m mypy --config-file "$settings" --cache-dir "$cache" $args
