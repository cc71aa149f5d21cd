#!/bin/sh
# Makes .venv for `make`: `scripts/setup.sh run` has the base install, `dev` the extras data, hub and
# train and the tools of development, `all` also the extras beam and phonemes, which some tests need.
# Each stage leaves a stamp, so a second run does nothing until pyproject.toml changes.
set -eu
cd "$(dirname "$0")/.."
want="${1:-run}"
stamp=".venv/.stamp-$want"
if [ -f "$stamp" ] && [ "$stamp" -nt pyproject.toml ]; then exit 0; fi

python="${PYTHON:-}"
if [ -z "$python" ]; then
    for candidate in python3 python3.12 python3.11 python3.13 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python="$candidate"
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "setup: needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python3" >&2
    exit 2
fi

if [ ! -x .venv/bin/pip ]; then
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        rm -rf .venv
        # Debian and Ubuntu split venv's pip out of Python into a package of its own.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "setup: installing python3-venv"
            apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
            "$python" -m venv .venv
        else
            echo "setup: $python cannot make a virtual environment; run: sudo apt install python3-venv" >&2
            exit 2
        fi
    fi
fi

echo "setup: installing into .venv (a few minutes the first time)"
case "$want" in
    dev) extra="[dev]" ;;
    all) extra="[dev,beam,phonemes]" ;;
    *) extra="" ;;
esac
.venv/bin/pip install --quiet --disable-pip-version-check -e ".$extra"
.venv/bin/vasa-jax weights get face-landmarker
touch "$stamp"
if [ "$want" = all ]; then touch .venv/.stamp-dev; fi
