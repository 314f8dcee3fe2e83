"""Checkpoints are whole or absent, plain data, and their faults have names."""

import os
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.contents import resumed_parts
from training.checkpoint import AtomicCheckpointIO, load_weights, read_checkpoint


def content(value: float = 1.0) -> dict:
    groups = ("algo", "model", "data", "loader", "training")
    return resumed_parts() | {
        "state_dict": {"weight": torch.full((300, 300), value)},
        "config": {"seed": 1} | {group: {"name": group} for group in groups},
        "global_step": 3,
        "ema": {"updates": 3, "weights": {"weight": torch.zeros(300, 300)}},
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(content(), path)
    return path


def test_round_trip_by_file_and_by_run_directory(file: Path) -> None:
    for path in (file, file.parent.parent):
        assert torch.equal(read_checkpoint(path)["state_dict"]["weight"], torch.ones(300, 300))


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"eval.checkpoint_path=.*no checkpoint at"):
        read_checkpoint(tmp_path)


def test_truncated_damaged_and_foreign_files_are_named(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for bad in (whole[:-100], whole[:middle], b"", b"text", damaged):
        file.write_bytes(bad)
        with pytest.raises(ValueError, match=r"last.ckpt: truncated, corrupt or not a checkpoint"):
            read_checkpoint(file)
    torch.save({"weights": 1}, file)
    with pytest.raises(ValueError, match="another program"):
        read_checkpoint(file)


PARTS = ["state_dict", "config", "global_step", "config.algo", "config.loader", "config.seed"]
RESUMED = ["optimizer_states", "lr_schedulers", "loops", "callbacks", "validation", "data_digests"]


@pytest.mark.parametrize("value", [None, [], {}, 3.5, "text"], ids=repr)
@pytest.mark.parametrize("part", [*PARTS, *RESUMED, "ema", "ema.weights", "ema.updates"])
def test_a_part_that_is_missing_or_of_another_type_is_named(
    part: str, value: object, file: Path
) -> None:
    whole, (group, _, name) = content(), part.partition(".")
    if name:
        whole[group][name] = value
    else:
        whole[group] = value
    torch.save(whole, file)
    if part == "ema.weights" and value == {}:
        return  # of no weights at all: its own complaint comes with the architecture
    named = part.removesuffix(".weights").removesuffix(".updates")
    with pytest.raises(ValueError, match=rf"last.ckpt: damaged, it has no {named}"):
        AtomicCheckpointIO().load_checkpoint(file)


@pytest.mark.parametrize("optimizer", [{}, {"state": {}, "param_groups": [1]}, {"state": {0: 1}}])
def test_a_run_never_goes_on_with_a_new_optimizer(optimizer: dict, file: Path) -> None:
    torch.save(content() | {"optimizer_states": [optimizer]}, file)
    read_checkpoint(file)  # good for an evaluation
    with pytest.raises(ValueError, match="it has no optimizer_states"):
        AtomicCheckpointIO().load_checkpoint(file)


def test_a_flipped_bit_is_refused_in_a_line_or_plays_no_part(file: Path) -> None:
    whole = file.read_bytes()
    starts = [whole.find(name) for name in (b"data.pkl", b"PK\x01\x02", b"PK\x05\x06")]
    places = {at for start in starts for at in range(start - 60, start + 120, 7)}
    for place in sorted(at for at in places if 0 <= at < len(whole)):
        for bit in (0, 3, 7):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            file.write_bytes(damaged)
            try:
                read = read_checkpoint(file)
            except ValueError as error:
                assert "last.ckpt" in str(error)
            else:
                assert torch.equal(read["state_dict"]["weight"], torch.ones(300, 300))


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("touch executed",)


def test_nothing_is_unpickled_that_could_run(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content() | {"extra": Evil()}, file)
    with pytest.raises(ValueError, match=r"last.ckpt"):
        read_checkpoint(file)
    assert not Path("executed").exists()


def test_a_failed_write_leaves_the_older_checkpoint(file: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the disk is full after 100 kB
    try:
        with pytest.raises(OSError, match=r"cannot write the checkpoint .*last.ckpt.*untouched"):
            AtomicCheckpointIO().save_checkpoint(content(2.0), file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_checkpoint(file)["state_dict"]["weight"][0, 0] == 1
    assert [path.name for path in file.parent.iterdir()] == ["last.ckpt"]


def test_weights_of_another_architecture_are_refused() -> None:
    net = nn.Linear(2, 3, bias=False)
    with pytest.raises(ValueError, match=r"weight has shape \(4, 2\) there, \(3, 2\) here"):
        load_weights(net, {"state_dict": {"weight": torch.zeros(4, 2)}})
    with pytest.raises(ValueError, match=r"bias has shape \(3,\) there, None here"):
        load_weights(net, {"state_dict": {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}})


def test_averaged_weights_unless_told_otherwise() -> None:
    net = nn.Linear(2, 3, bias=False)
    checkpoint = {
        "state_dict": {"weight": torch.zeros(3, 2)},
        "ema": {"weights": {"weight": torch.ones(3, 2)}, "updates": 1},
    }
    load_weights(net, checkpoint)
    assert float(net.weight.detach().sum()) == 6
    load_weights(net, checkpoint, averaged=False)
    assert float(net.weight.detach().sum()) == 0
