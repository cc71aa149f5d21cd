#!/usr/bin/env bash
# Stage 1 on two nodes of eight GPUs: sbatch examples/launch/slurm.sh
# One task a GPU: JAX gives each task the GPU of its SLURM_LOCALID.
#SBATCH --job-name=vasa-face
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --time=24:00:00
# SIGTERM two minutes before the end: all tasks save at one step and exit with 143.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=%x-%j.log
set -uo pipefail

: "${DATA:?the folder of vasa-jax prepare}" "${WORK:?a folder that all nodes see}"
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$WORK/compiled}"

srun --kill-on-bad-exit=1 vasa-jax train face --config "${CONFIG:-vasa1}" \
    --data "$DATA" --workdir "$WORK/face" --set mesh.distributed=true --workers 10
code=$?
# Preempted (143) or ended by a node's fault: the same command goes on from the newest checkpoint.
[ "$code" = 0 ] || [ "$code" = 2 ] || scontrol requeue "$SLURM_JOB_ID"
exit "$code"
