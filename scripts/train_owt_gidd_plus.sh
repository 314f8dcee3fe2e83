#!/usr/bin/env bash
# Trains GIDD+ as released on OpenWebText; another size or share of uniform noise: experiment=gidd_base_pu0.2_plus
#SBATCH --job-name=train-owt-gidd-plus
#SBATCH --nodes=1 --gpus-per-node=8 --ntasks-per-node=8 --cpus-per-task=4
#SBATCH --requeue --signal=B:USR1@300
#SBATCH --open-mode=append --output=%x-%j.log
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
# Slurm runs a copy of this file and knows where it was.
[ -f "$here/slurm.sh" ] || here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n '/^ *Command=/{s///;s/ .*//;p;q}')")"
source "$here/slurm.sh"
launch mode=train experiment=gidd_small_pu0.1_plus "$@"
