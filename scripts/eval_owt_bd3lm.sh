#!/usr/bin/env bash
# Perplexity of the BD3-LM run of train_owt_bd3lm.sh (blocks of 16), or of another one: eval.checkpoint_path=RUN
#SBATCH --job-name=eval-owt-bd3lm
#SBATCH --nodes=1 --gpus-per-node=1 --ntasks-per-node=1 --cpus-per-task=4
#SBATCH --requeue --signal=B:USR1@300
#SBATCH --open-mode=append --output=%x-%j.log
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
# Slurm runs a copy of this file and knows where it was.
[ -f "$here/slurm.sh" ] || here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n '/^ *Command=/{s///;s/ .*//;p;q}')")"
source "$here/slurm.sh"
launch mode=ppl_eval protocol=bd3lm-owt-1024 \
    'eval.checkpoint_path=outputs/openwebtext-split/bd3lm16-small/seed${seed}' "$@"
