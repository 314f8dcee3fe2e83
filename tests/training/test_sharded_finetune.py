"""strategy=fsdp that begins with another run: each process reads its own rows, and damage that one
of them finds ends all."""

import json
import shutil
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.world import SMALL, logged, run, start, stop, wait
from training import shards
from training.checkpoint import read_checkpoint
from training.sharding import FullyShardedStrategy
from training.shards import read_index

SHARDED = ["strategy=fsdp", "trainer.devices=2"]
SHORT = ["trainer.max_steps=2", "trainer.val_check_interval=2"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of DUO in two parts."""
    folder = tmp_path_factory.mktemp("source") / "duo"
    run([[*SMALL, *SHORT, "algo=duo", f"checkpointing.save_dir={folder}", *SHARDED]], processes=2)
    return folder


def distilled(source: Path, folder: Path, *more: str) -> list[str]:
    """One step at a learning rate that leaves the weights as they are."""
    own = ["algo=duo_distill", "algo.rounds=1", "optim.lr=1e-12", "trainer.max_steps=1"]
    return [
        *SMALL,
        *own,
        f"training.finetune_path={source}",
        f"checkpointing.save_dir={folder}",
        *more,
    ]


def note_reads(folder: Path, rank: int) -> None:
    """Writes down how many numbers of each weight a process reads."""
    plain = shards.Pieces._rows

    def rows(self: Any, key: str, shape: Any, part: slice) -> Any:
        found = plain(self, key, shape, part)
        with (folder / f"read-{rank}").open("a") as stream:
            stream.write(json.dumps([key, found.numel(), prod(shape)]) + "\n")
        return found

    shards.Pieces._rows = rows  # type: ignore[method-assign]


def note_damage(folder: Path, rank: int) -> None:
    """Writes down the error that ends a process."""
    plain = FullyShardedStrategy._agreed

    def agreed(self: Any, read: Any) -> Any:
        try:
            return plain(self, read)
        except ValueError as error:
            (folder / f"error-{rank}").write_text(str(error))
            raise

    FullyShardedStrategy._agreed = agreed  # type: ignore[method-assign]


def test_each_process_reads_its_own_rows_of_the_weights_alone(source: Path, tmp_path: Path) -> None:
    """Student and teacher have the averaged weights, as in one process that reads them whole."""
    run([distilled(source, tmp_path / "one")])
    run([distilled(source, tmp_path / "two", *SHARDED)], 2, before=partial(note_reads, tmp_path))
    average = read_checkpoint(source)["ema"]["weights"]
    one, two = (read_checkpoint(tmp_path / name, resumes=True) for name in ("one", "two"))
    for name, weight in average.items():
        for content in (one, two):
            taken = content["state_dict"][name]
            torch.testing.assert_close(taken, weight, rtol=0, atol=1e-9)
            teacher = content["distillation"]["teacher"][name.removeprefix("backbone.")]
            assert torch.equal(teacher, weight), name
    expected = logged(tmp_path / "one", "train/loss")
    # the loss of a student that is its teacher yet is nothing but rounding
    close = pytest.approx(expected, rel=2e-5, abs=1e-7)
    assert expected and logged(tmp_path / "two", "train/loss") == close

    read = [
        [json.loads(line) for line in (tmp_path / f"read-{rank}").read_text().splitlines()]
        for rank in range(2)
    ]
    sizes = {f"/ema/weights/{name}": weight.numel() for name, weight in average.items()}
    for own in read:
        assert sorted(key for key, _, _ in own) == sorted(sizes)  # each once, no raw ones
    for first, second in zip(*map(sorted, read), strict=True):
        assert first[1] + second[1] == first[2] == sizes[first[0]]  # no row twice


def test_damage_that_one_process_finds_ends_all(source: Path, tmp_path: Path) -> None:
    """The file of the second process, which it checks; both begin with a whole index."""
    copied = Path(shutil.copytree(source, tmp_path / "damaged"))
    folder = read_index(copied / "checkpoints" / "last.ckpt")["folder"]
    file = copied / "checkpoints" / folder / "part-00001.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    line = distilled(copied, tmp_path / "run", *SHARDED)
    started = start([line], 2, 1, partial(note_damage, tmp_path))
    wait(lambda: None not in [process.exitcode for process in started])
    codes = [process.exitcode for process in started]
    stop(started)
    assert all(code not in (0, None) for code in codes), codes
    for rank in range(2):
        said = (tmp_path / f"error-{rank}").read_text()
        assert said.startswith(f"training.finetune_path={copied}"), said
        assert f"the checksum of {folder}/{file.name} is wrong" in said
    assert not (tmp_path / "run" / "checkpoints").exists()
