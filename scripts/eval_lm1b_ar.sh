#!/usr/bin/env bash
# Perplexity of the AR run of train_lm1b_ar.sh, or of another one: eval.checkpoint_path=RUN
#SBATCH --job-name=eval-lm1b-ar
#SBATCH --nodes=1 --gpus-per-node=1 --ntasks-per-node=1 --cpus-per-task=4
#SBATCH --requeue --signal=B:USR1@300
#SBATCH --open-mode=append --output=%x-%j.log
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
# Slurm runs a copy of this file and knows where it was.
[ -f "$here/slurm.sh" ] || here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n '/^ *Command=/{s///;s/ .*//;p;q}')")"
source "$here/slurm.sh"
launch mode=ppl_eval protocol=mdlm-lm1b \
    'eval.checkpoint_path=outputs/lm1b/ar-small/seed${seed}' "$@"
