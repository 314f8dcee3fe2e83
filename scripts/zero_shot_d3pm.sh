#!/usr/bin/env bash
# Zero-shot perplexities of the D3PM run of train_owt_d3pm.sh, or of another one: eval.checkpoint_path=RUN
#SBATCH --job-name=zero-shot-d3pm
#SBATCH --nodes=1 --gpus-per-node=1 --ntasks-per-node=1 --cpus-per-task=4
#SBATCH --requeue --signal=B:USR1@300
#SBATCH --open-mode=append --output=%x-%j.log
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
# Slurm runs a copy of this file and knows where it was.
[ -f "$here/slurm.sh" ] || here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n '/^ *Command=/{s///;s/ .*//;p;q}')")"
source "$here/slurm.sh"
launch mode=ppl_eval protocol=zero-shot \
    "eval.corpora=[ptb,wikitext103,lm1b,lambada,ag_news,scientific_papers_pubmed,scientific_papers_arxiv]" \
    'eval.checkpoint_path=outputs/openwebtext-split/d3pm-small/seed${seed}' "$@"
