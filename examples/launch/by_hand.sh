#!/usr/bin/env bash
# Processes started by hand: run it on every host with its number, 0 first.
#   COORDINATOR=node0:12345 PROCESSES=2 examples/launch/by_hand.sh 0 --data DATA --workdir WORK
set -euo pipefail
: "${COORDINATOR:?HOST:PORT of process 0}" "${PROCESSES:?how many processes there are}"
number=${1:?the number of this process}
shift
exec vasa-jax train face --config "${CONFIG:-vasa1}" "$@" \
    --coordinator "$COORDINATOR" --processes "$PROCESSES" --process-id "$number"
