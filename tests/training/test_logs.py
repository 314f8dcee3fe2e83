"""Rows of the log survive a new column, whatever happens while it comes."""

import csv
from pathlib import Path

import pytest

from training import logs
from training.logs import RunLog


def rows(log: RunLog) -> list[dict]:
    with (Path(log.log_dir) / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_new_columns_keep_the_rows(tmp_path: Path) -> None:
    log = RunLog(tmp_path, name="logs")
    for step, metrics in enumerate([{"loss": 1.0}, {"loss": 2.0}, {"val": 3.0}, {"loss": 4.0}]):
        log.log_metrics(metrics, step)
        log.save()
    assert [(row["step"], row["loss"], row["val"]) for row in rows(log)] == [
        ("0", "1.0", ""),
        ("1", "2.0", ""),
        ("2", "", "3.0"),
        ("3", "4.0", ""),
    ]
    assert [file.name for file in Path(log.log_dir).iterdir()] == ["metrics.csv"]
    assert RunLog(tmp_path, name="logs").version == 1


def test_a_kill_while_a_column_comes_keeps_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunLog(tmp_path, name="logs")
    log.log_metrics({"loss": 1.0}, 0)
    log.save()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logs, "write_atomic", killed)
    log.log_metrics({"val": 2.0}, 1)
    with pytest.raises(KeyboardInterrupt):
        log.save()
    assert rows(log) == [{"loss": "1.0", "step": "0"}]
