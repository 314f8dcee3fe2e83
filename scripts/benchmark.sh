#!/usr/bin/env bash
# One row of a benchmark for each task of a job array; python main.py mode=benchmark benchmark.jobs=slurm submits it.
# By hand: sbatch --array=0-8 scripts/benchmark.sh data=openwebtext-split model=small
#SBATCH --job-name=benchmark
#SBATCH --nodes=1 --ntasks-per-node=1
#SBATCH --requeue --signal=B:USR1@300
#SBATCH --open-mode=append --output=%x-%A-%a.log
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
# Slurm runs a copy of this file and knows where it was.
[ -f "$here/slurm.sh" ] || here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n '/^ *Command=/{s///;s/ .*//;p;q}')")"
source "$here/slurm.sh"
launch mode=benchmark "$@" "benchmark.row=${SLURM_ARRAY_TASK_ID:?this is a task of an array: sbatch --array=0-N}"
