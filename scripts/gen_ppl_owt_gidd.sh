#!/usr/bin/env bash
# Samples of the GIDD run of train_owt_gidd.sh, or of another one (eval.checkpoint_path=RUN), and their quality.
#SBATCH --job-name=gen-ppl-owt-gidd
#SBATCH --nodes=1 --gpus-per-node=1 --ntasks-per-node=1 --cpus-per-task=4
#SBATCH --requeue --signal=B:USR1@300
#SBATCH --open-mode=append --output=%x-%j.log
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
# Slurm runs a copy of this file and knows where it was.
[ -f "$here/slurm.sh" ] || here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n '/^ *Command=/{s///;s/ .*//;p;q}')")"
source "$here/slurm.sh"
launch mode=sample_eval eval.gen_ppl_eval_model_name_or_path=google/gemma-2-9b eval.quality_protocol=gidd \
    loader.eval_batch_size=16 sampling.num_sample_batches=1 sampling.steps=128 \
    'eval.checkpoint_path=outputs/openwebtext-split/gidd-small-pu0.1/seed${seed}' "$@"
