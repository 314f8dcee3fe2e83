"""Files below a folder whose name is not UTF-8, as older systems made them."""

import os
from pathlib import Path

import pytest
import torch

from hub.folder_files import NAMES, read_weights
from storage import save_tensors, utf8_name
from training.checkpoint import read_checkpoint
from training.shards import Pieces


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / os.fsdecode(b"r\xe9sultats")
    folder.mkdir()
    return folder


def test_a_name_in_utf8_stays(tmp_path: Path) -> None:
    with utf8_name(tmp_path / "é") as name:
        assert name == tmp_path / "é"


def test_another_name_leads_to_the_same_file(folder: Path) -> None:
    (folder / "a").write_text("content")
    with utf8_name(folder / "a") as name:
        str(name).encode()
        assert name.read_text() == "content"
    with pytest.raises(FileNotFoundError), utf8_name(folder / "b"):
        pass


def test_a_checkpoint_is_read(folder: Path) -> None:
    config = {name: {"a": 1} for name in ("algo", "model", "data", "loader", "training")}
    content = {
        "state_dict": {"a": torch.arange(3)},
        "config": config | {"seed": 1},
        "global_step": 1,
    }
    torch.save(content, folder / "last.ckpt")
    read = read_checkpoint(folder / "last.ckpt")
    assert read["state_dict"]["a"].tolist() == [0, 1, 2]


def test_parts_of_a_checkpoint_are_read(folder: Path) -> None:
    save_tensors(folder / "a", {"a": torch.arange(3)}, {"tensors": '{"a": [[3], 0]}'})
    read = Pieces(folder, ["a"]).taken("a", lambda shape, read: read(slice(1, 3)))
    assert read.tolist() == [1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_published_weights_are_read(folder: Path, name: str) -> None:
    weights = {"a": torch.arange(3)}
    if name.endswith(".safetensors"):
        save_tensors(folder / name, weights, {"format": "pt"})
    else:
        torch.save(weights, folder / name)
    assert read_weights(folder)[0]["a"].tolist() == [0, 1, 2]
