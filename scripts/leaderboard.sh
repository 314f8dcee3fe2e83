#!/usr/bin/env bash
# The tables and the page of all records of results/.
#SBATCH --job-name=leaderboard
#SBATCH --nodes=1 --ntasks-per-node=1 --cpus-per-task=1
#SBATCH --requeue --signal=B:USR1@300
#SBATCH --open-mode=append --output=%x-%j.log
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
# Slurm runs a copy of this file and knows where it was.
[ -f "$here/slurm.sh" ] || here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n '/^ *Command=/{s///;s/ .*//;p;q}')")"
source "$here/slurm.sh"
launch mode=leaderboard "$@"
