"""Parts of checkpoints are removed only where every index says that they are unused."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from training.shard_writer import Saving, ShardWriter
from training.shards import remove_unused

USED, OTHER = f"shards-{'0' * 32}", f"shards-{'1' * 32}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (USED, OTHER):
        (tmp_path / name).mkdir()
    index = {"folder": USED, "files": {}, "content": {}}
    (tmp_path / "last.ckpt").write_text(json.dumps(index))
    return tmp_path


def test_parts_that_no_index_leads_to_are_removed(folder: Path) -> None:
    remove_unused(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["last.ckpt", USED]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of this process alone."""
    store = torch.distributed.FileStore(str(tmp_path.with_suffix(".store")), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("text", ["{", '{"mine": 1}', '{"folder": 1, "files": 2}', '{"a":' * 10**5])
def test_an_index_that_cannot_be_read_keeps_all_parts(text: str, folder: Path) -> None:
    (folder / "best.ckpt").write_text(text)
    remove_unused(folder)
    assert (folder / USED).is_dir() and (folder / OTHER).is_dir()


def test_what_a_killed_start_left_goes_before_the_next_parts_are_written(folder: Path) -> None:
    """The disk need not have room for both."""
    (folder / f".{OTHER}").mkdir()
    mark = "2" * 32
    for is_coordinator in (False, True):  # the first process may come last
        writer = ShardWriter(folder / "last.ckpt", mark, {})
        writer.set_up_storage_writer(is_coordinator)
    assert sorted(path.name for path in folder.iterdir()) == [
        f".shards-{mark}",
        "last.ckpt",
        USED,
    ]


def test_parts_without_room_are_refused_and_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, alone: None
) -> None:
    def full(file: Path, *_: object) -> None:
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    monkeypatch.setattr("training.shard_writer.save_tensors", full)
    saving = Saving()
    saving.begin({"a": torch.zeros(3)}, folder / "last.ckpt", "2" * 32)
    message = "cannot write the checkpoint .*last.ckpt.*No space left.*the older one is untouched"
    with pytest.raises(OSError, match=message):
        saving.wait()
    assert {path.name for path in folder.iterdir()} <= {"last.ckpt", USED, OTHER}
