#!/usr/bin/env bash
# Trains BD3-LM on OpenWebText, from the run of train_owt_mdlm.sh trainer.max_steps=850000. Blocks: algo.block_size=4
#SBATCH --job-name=train-owt-bd3lm
#SBATCH --nodes=1 --gpus-per-node=8 --ntasks-per-node=8 --cpus-per-task=4
#SBATCH --requeue --signal=B:USR1@300
#SBATCH --open-mode=append --output=%x-%j.log
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
# Slurm runs a copy of this file and knows where it was.
[ -f "$here/slurm.sh" ] || here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n '/^ *Command=/{s///;s/ .*//;p;q}')")"
source "$here/slurm.sh"
launch mode=train experiment=owt_bd3lm "$@"
