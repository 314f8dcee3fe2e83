import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

CHECKPOINTS = Path(__file__).resolve().parents[2] / "shared" / "checkpoints"

# Within a Slurm job a test is still a run of its own, not one of the job's processes.
for name in [name for name in os.environ if name.startswith("SLURM_")]:
    del os.environ[name]

# The longest tests, which come first: the workers end together where the last ones are short.
LONG = ("tests/training/", "tests/modes/test_runs.py", "tests/test_scripts.py", "tests/device/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, where a dict changes only what it names."""
    inner = {
        name: merged(base.get(name) or {}, value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return {**base, **inner}


@pytest.fixture(autouse=True)
def denormal_numbers() -> None:
    """The modes flush them for the rest of the process; a formula held to 1e-12 of 1e-295 needs
    them, whichever test came before."""
    torch.set_flush_denormal(False)


@pytest.fixture
def checkpoints() -> Path:
    """The folder of published files, which is not part of the repository."""
    if not CHECKPOINTS.is_dir():
        pytest.skip(f"no published checkpoints at {CHECKPOINTS}")
    return CHECKPOINTS


@pytest.fixture
def make_fields() -> Callable[..., dict[str, Any]]:
    """Complete fields of a perplexity record; keywords replace, dicts are merged."""

    def make(**changes: Any) -> dict[str, Any]:
        base = {
            "metric": "ppl",
            "value": 12.345678901234567,
            "stderr": 0.05,
            "count": 102300,
            "kind": "upper bound",
            "algo": "mdlm",
            "protocol": {"length": 1024, "packing": "wrap", "bos": True, "time_range": [0.001, 1]},
            "network": {"name": "small", "parameters": 169_600_000},
            "data": {"name": "wikitext103", "digest": "d" * 64, "tokenizer": "gpt2"},
            "training": {"steps": 1000, "tokens": 262_144_000, "checkpoint_digest": "c" * 64},
            "sampler": None,
            "seed": 1,
            "commit": None,
            "hardware": {"cpu": "a processor"},
            "wall_time_s": 3.5,
            "peak_memory_bytes": 1 << 30,
            "config": {"seed": 1, "algo": {"name": "mdlm"}, "optim": {"lr": 3e-4}},
            "created": "2026-01-31T12:00:00+00:00",
            "metrics": {"bits_per_byte": 0.99, "train_seconds": 3700.0},
        }
        return merged(base, changes)

    return make
