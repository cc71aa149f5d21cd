#!/usr/bin/env bash
# Stage 1 on a TPU pod slice, one process a host: run on your machine with gcloud set up.
#   TPU=my-v5p-64 ZONE=us-east5-a BUCKET=/mnt/disks/vasa examples/launch/tpu_pod.sh
# BUCKET: a file system that every host has mounted (Filestore, or a bucket by gcsfuse).
set -euo pipefail
: "${TPU:?name of the slice}" "${ZONE:?}" "${BUCKET:?a folder that all hosts see}"

everywhere() { gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all --command "$1"; }

everywhere "pip install --quiet 'vasa-jax[data,train,tpu]'"
# The hosts of a slice find each other.
everywhere "JAX_COMPILATION_CACHE_DIR=$BUCKET/compiled vasa-jax train face --config ${CONFIG:-vasa1} \
    --data $BUCKET/dataset --workdir $BUCKET/runs/face --set mesh.distributed=true"
