#!/usr/bin/env bash
# Runs the tests, two at a time; arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
make_env requirements-dev.txt
cd "$root"
# Threads of several tests on few cores slow each other down many times over.
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
exec .venv/bin/python -m pytest -n "${TEST_WORKERS:-2}" --dist worksteal "$@"
