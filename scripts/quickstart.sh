#!/usr/bin/env bash
# Trains, evaluates and samples every algorithm on the embedded corpus, and prints the table that compares them.
# Arguments pass through: scripts/quickstart.sh trainer.max_steps=2000 model=tiny
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
make_env requirements.txt
exec "$root/.venv/bin/python" "$root/main.py" mode=benchmark trainer.max_steps=300 "$@"
