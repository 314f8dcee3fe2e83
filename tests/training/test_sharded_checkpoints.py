"""What reads the checkpoint of a training in parts, on one process: every mode, finetuning, and a
reader that unpickles nothing and leaves the optimizer alone."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from modes.train.resume import resumed
from tests.composed import composed, start
from tests.training.world import SMALL, logged, run
from training import checkpoint as checkpoints
from training.checkpoint import read_checkpoint
from training.shards import read_index

TEXT = "\n".join(f"{i} bottles of beer on the wall, take {i % 7} down" for i in range(300))
STEPS = ["trainer.max_steps=2", "trainer.val_check_interval=2", "data.max_eval_blocks=6"]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The settings of all runs here."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "poem.txt").write_text(TEXT)
    data = ["data=text", f"data.path={folder}/poem.txt", "data.valid_split=tail"]
    data += [f"data.cache_dir={folder}/cache", f"results_dir={folder}/results"]
    return [text for text in SMALL if text != "data=markov"] + data + STEPS


@pytest.fixture(scope="module")
def sharded(given: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by two processes that share each parameter."""
    folder = tmp_path_factory.mktemp("sharded") / "run"
    more = ["algo=mdlm", f"checkpointing.save_dir={folder}", "strategy=fsdp", "trainer.devices=2"]
    run([[*given, *more]], processes=2)
    return folder


@pytest.fixture(scope="module")
def whole(sharded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same content as one file."""
    file = tmp_path_factory.mktemp("whole") / "checkpoint.ckpt"
    torch.save(read_checkpoint(sharded, resumes=True), file)
    return file


def evaluated(given: list[str], results: Path, *more: str) -> dict[str, Any]:
    """The record of a mode."""
    command = [text for text in given if not text.startswith("mode=")]
    command += [*more, f"results_dir={results}"]
    start(*command)
    records = list(results.glob("*.json")) if results.is_dir() else []
    return json.loads(records[0].read_text()) if records else {}


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("ppl_eval", []),
        ("sample_eval", ["sampling.steps=3", "sampling.num_sample_batches=2"]),
    ],
)
def test_an_evaluation_of_parts_is_that_of_one_file(
    mode: str,
    more: list[str],
    given: list[str],
    sharded: Path,
    whole: Path,
    tmp_path: Path,
) -> None:
    found = []
    for number, path in enumerate((sharded, whole)):
        own = [f"mode={mode}", f"eval.checkpoint_path={path}", f"eval.output_dir={tmp_path}/out"]
        found.append(evaluated(given, tmp_path / str(number), *own, *more))
    assert found[0]["value"] == found[1]["value"]
    assert found[0]["training"]["tokens"] == found[1]["training"]["tokens"]


def test_an_export_of_parts_has_the_averaged_weights(
    given: list[str], sharded: Path, tmp_path: Path
) -> None:
    own = ["mode=export", f"eval.checkpoint_path={sharded}", f"export.path={tmp_path}/model"]
    evaluated(given, tmp_path / "results", *own)
    exported = load_file(tmp_path / "model" / "model.safetensors")
    average = read_checkpoint(sharded)["ema"]["weights"]
    assert exported.keys() == average.keys()
    assert all(torch.equal(exported[name], average[name]) for name in average)


def test_a_run_begins_with_the_weights_of_parts(
    given: list[str], sharded: Path, whole: Path, tmp_path: Path
) -> None:
    """In one process and, sharing them out at once, in two."""
    for name, source, devices in (("a", sharded, 1), ("b", whole, 1), ("c", sharded, 2)):
        more = ["algo=gidd", f"training.finetune_path={source}", "strategy=fsdp"]
        more = [*more, f"trainer.devices={devices}"] if devices > 1 else more[:2]
        run([[*given, *more, f"checkpointing.save_dir={tmp_path}/{name}"]], devices)
    expected = logged(tmp_path / "b", "train/loss")
    assert logged(tmp_path / "a", "train/loss") == expected
    assert logged(tmp_path / "c", "train/loss") == pytest.approx(expected, rel=2e-5)


def test_no_reader_unpickles(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    content = read_index(sharded / "checkpoints" / "last.ckpt")["content"]
    assert content["global_step"] == 2
    assert content["config"]["algo"]["name"] == "mdlm"
    assert read_checkpoint(sharded, resumes=True)["global_step"] == 2


def test_the_state_of_the_optimizer_is_read_where_a_run_goes_on(sharded: Path) -> None:
    assert "optimizer_states" not in read_checkpoint(sharded)
    assert read_checkpoint(sharded, resumes=True)["optimizer_states"][0]["state"]


def test_what_begins_a_run_is_looked_at_without_its_tensors(
    given: list[str], sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process of a training in parts reads its own rows alone, later."""
    read: list[Any] = []

    def watched(*arguments: Any) -> Any:
        read.append(checkpoints_read(*arguments))
        return read[-1]

    checkpoints_read = checkpoints.read_shards
    monkeypatch.setattr(checkpoints, "read_shards", watched)
    command = [*given, "algo=mdlm", f"checkpointing.save_dir={sharded}", "strategy=fsdp"]
    assert resumed(composed(*command)).step == 2
    (content,) = read
    assert all(weight.is_meta for weight in content["state_dict"].values())
    assert all(weight.is_meta for weight in content["ema"]["weights"].values())
