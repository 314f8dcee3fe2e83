"""A device that is not the CPU: a tensor that is made without `device=` meets one that was, and
fails here as on a GPU; waits are counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.modes import forked

pytestmark = pytest.mark.timeout(900)  # of one walk, on a machine that does much else
ROOT = Path(__file__).resolve().parents[2]
# What a network call may wait for: how many texts have something to draw, and at which positions.
MOST = {
    "training: duo, full curriculum": 4,  # beside, which weights of a softmax matter
    "sampling: ar, ar": 1,  # for a batch of 7 tokens
    "sampling: mdlm, first_hitting": 0.5,
    "sampling: mdlm, ancestral": 2,
    "sampling: mdlm, psi": 2,
    "sampling: sedd_uniform, analytic": 1,
    "sampling: sedd_uniform, euler": 1,
    "sampling: udlm, nucleus": 5,
}
OF_KIND = {"training": 2, "evaluation": 1, "sampling": 3.2, "correction": 3}


def walk(text: str) -> dict[str, dict[str, Any]]:
    """What the program prints."""
    done = forked.run_text(text, seconds=840)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    return walk((ROOT / "tests" / "device" / "walk.py").read_text())


def test_nothing_mixes_devices(results: dict[str, dict[str, Any]]) -> None:
    errors = {case: found["error"] for case, found in results.items() if "error" in found}
    assert not errors, "\n".join(f"{case}:\n{error}" for case, error in errors.items())
    kinds = {case.split(":")[0].split(",")[0] for case in results}
    assert kinds >= {"training", "evaluation", "sampling", "oracle", "scorer", "downstream"}


def test_a_device_finds_what_the_cpu_finds(results: dict[str, dict[str, Any]]) -> None:
    for case, found in results.items():
        here, there = (flat(found[device]) for device in ("cpu", "device"))
        np.testing.assert_allclose(there, here, rtol=2e-4, atol=1e-6, err_msg=case)


def flat(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for part in value for number in flat(part)]
    return [] if value is None else [float(value)]


def test_the_program_waits_for_what_it_cannot_know_alone(
    results: dict[str, dict[str, Any]],
) -> None:
    for case, found in results.items():
        kind = case.split(":")[0].split(",")[0]
        if kind in OF_KIND:
            assert found["waits"] <= MOST.get(case, OF_KIND[kind]), case


PLANTED = """
import json
import torch
from benchmarks import gpu_waits, stand_in
from samplers import ancestral
from tests.device.walk import TINY, found, of_count
stand_in.start()
settings = gpu_waits.composed(*TINY, "algo=mdlm")
run = of_count(gpu_waits.sampling, settings, {"predictor": "ancestral"})
before = found(run)
ancestral.at = lambda time, z: torch.full((len(z),), time, dtype=torch.float64)
print(json.dumps({"before": before, "planted": found(run)}))
"""


def test_a_missing_device_is_found() -> None:
    found = walk(PLANTED)
    assert "error" not in found["before"]
    assert "at least two devices, standin:0 and cpu!" in found["planted"]["error"]
