import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation import record_schema
from evaluation.records import Record, read_records, write_record


@pytest.fixture
def board(tmp_path, make_fields) -> Callable[..., list[Record]]:
    """Writes records made from the given changes, a minute after each other, and reads them all
    back."""
    minutes = itertools.count()

    def write(*several: dict[str, Any]) -> list[Record]:
        for changes in several:
            created = f"2026-01-31T12:{next(minutes):02d}:00+00:00"
            write_record(tmp_path, make_fields(**{"created": created, **changes}))
        records, problems = read_records(tmp_path)
        assert problems == []
        return records

    return write


@pytest.fixture
def record() -> Callable[[dict[str, Any]], Record]:
    """A record of the given fields, as it is read back."""

    def make(fields: dict[str, Any]) -> Record:
        stated = {"schema": record_schema.SCHEMA, "digest": "", "protocol_digest": ""}
        return Record(**{"metrics": {}, **fields, **stated}, path=Path("x.json"))

    return make


@pytest.fixture
def algorithm() -> Callable[..., dict[str, Any]]:
    """The changes that make a perplexity of an algorithm."""

    def make(name, value, stderr: float | None = 0.01, checkpoint=None, **changes):
        training = {"checkpoint_digest": checkpoint or name, **changes.pop("training", {})}
        config = changes.pop("config", {})
        config = {**config, "algo": {"name": name, **config.get("algo", {})}}
        own = {"algo": name, "value": value, "stderr": stderr}
        return {**own, "training": training, "config": config, **changes}

    return make


@pytest.fixture
def sample() -> Callable[..., dict[str, Any]]:
    """The changes that make a record of samples of a checkpoint."""

    def make(checkpoint, value, **changes):
        metrics = {"distinct_2": 0.5, "reference_entropy": 5.6, **changes.pop("metrics", {})}
        training = {"checkpoint_digest": checkpoint, **changes.pop("training", {})}
        kind = {"metric": "samples", "kind": "estimate", "value": value}
        return {**kind, "training": training, "metrics": metrics, **changes}

    return make
