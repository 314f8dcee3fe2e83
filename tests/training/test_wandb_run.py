"""Two starts of a training are one run of Weights & Biases."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modes import build
from modes.settings import Settings
from training.settings import Checkpointing, Wandb
from training.wandb_run import FILE, continued, run_id


def test_the_second_start_has_the_id_of_the_first(tmp_path: Path) -> None:
    first = continued(tmp_path / "run", offline=False)
    assert first["resume"] == "allow"
    assert first == continued(tmp_path / "run", offline=False)
    assert (tmp_path / "run" / FILE).read_text() == first["id"]
    assert continued(tmp_path / "run", offline=True) == {"id": first["id"]}
    assert run_id(tmp_path / "other") != first["id"]


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(run_id, [tmp_path] * 32))
    assert len(found) == 1
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff\x00", b"x" * 65, b"../a"])
def test_a_file_that_holds_no_id_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match="is no id of a W&B run; remove the file") as refused:
        run_id(tmp_path)
    assert "\n" not in str(refused.value)


def logged(directory: Path, **wandb: Any) -> dict[str, Any]:
    """The arguments with which W&B is started."""
    place = Checkpointing(save_dir=str(directory))
    settings = Settings(checkpointing=place, wandb=Wandb(**wandb))
    *_, logger = build.loggers(settings)
    return getattr(logger, "_wandb_init", {})


def test_the_logger_of_a_training_gets_the_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)  # where there is no login
    first, second = (logged(tmp_path, project="p") for _ in range(2))
    assert first["id"] == second["id"] == run_id(tmp_path)
    assert first["resume"] == second["resume"] == "allow"


def test_without_the_key_nothing_is_written(tmp_path: Path) -> None:
    assert logged(tmp_path) == {}
    assert not (tmp_path / FILE).exists()
