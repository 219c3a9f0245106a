#!/bin/bash
#SBATCH --job-name=mmflow
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gpus=1
#SBATCH --time=08:00:00
#SBATCH --requeue
#
# One shard of a measurement for each task of the array, all into one store.
#
#     MMFLOW_CACHE=/shared/store sbatch examples/scale/slurm.sh --model=./tuned --questions=gqa
#
# A task that was ended or requeued goes on where it stopped. To measure some shards again, name
# the N of the whole array: SHARDS=8 sbatch --array=3,7 examples/scale/slurm.sh ...
set -euo pipefail

: "${MMFLOW_CACHE:?name a folder that all nodes see}"
export MMFLOW_CACHE
# Rows are the same to the last bit where all shards compute with the same number of threads.
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"

shard=auto
if [ -n "${SHARDS:-}" ]; then
  shard="${SLURM_ARRAY_TASK_ID}/${SHARDS}"
fi
srun mmflow measure "--shard=${shard}" "$@"
