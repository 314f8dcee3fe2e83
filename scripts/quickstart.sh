#!/usr/bin/env bash
# Trains, evaluates and samples three algorithms on the embedded corpus, and ends with the tables that compare them.
# Arguments pass through: scripts/quickstart.sh trainer.max_steps=2000 model=tiny
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
make_env requirements.txt
exec "$root/.venv/bin/python" "$root/main.py" mode=benchmark "benchmark.algos=[ar,mdlm,gidd]" "$@"
