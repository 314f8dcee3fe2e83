"""Weights that fit are taken, the others are left as they were and named."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from storage import file_digest
from training.finetune import Fit, Source, briefly, in_memory, numbered, read_source, take
from training.saving import Checkpoints
from training.signals import StopSignals


def network(width: int = 4, blocks: int = 3, outputs: int = 5, level: bool = False) -> nn.Module:
    parts: dict[str, nn.Module] = {
        "blocks": nn.ModuleList(nn.Linear(width, width) for _ in range(blocks)),
        "head": nn.Linear(width, outputs),
    }
    if level:
        parts["level"] = nn.Linear(1, width)
    return nn.ModuleDict(parts)


def source(net: nn.Module) -> Source:
    weights = {name: torch.full_like(tensor, 7.0) for name, tensor in net.state_dict().items()}
    stored = {name: in_memory(weight) for name, weight in weights.items()}
    return Source(stored, {}, {"checkpoint": "runs/a/last.ckpt"})


def checkpoint(steps: int = 3, ema: bool = True, finetuned_from: dict | None = None) -> dict:
    config = {"algo": {"name": "duo"}, "model": {"length": 8}, "loader": {"global_batch_size": 2}}
    config |= {"data": {"name": "text"}, "training": {"ema": 0.9}, "seed": 1}
    saved = {"state_dict": {"w": torch.zeros(2)}, "config": config, "global_step": steps}
    if ema:
        saved["ema"] = {"updates": steps, "weights": {"w": torch.ones(2)}}
    return saved | {"finetuned_from": finetuned_from}


def test_everything_fits() -> None:
    net = network()
    fit = take(net, source(network()))
    assert fit.report() == ["took 8 of 8 weights (85 of 85 parameters)"]
    assert all((tensor == 7).all() for tensor in net.state_dict().values())


def test_what_does_not_fit_is_left_alone_and_named() -> None:
    net, other = network(blocks=4, level=True), network(blocks=2, outputs=6)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    fit = take(net, source(other))
    assert fit.report() == [
        "took 4 of 12 weights (40 of 113 parameters)",
        "not taken: head.bias is (6,) there, (5,) here; head.weight is (6, 4) there, (5, 4) here",
        "not there: blocks.2-3, level",
    ]
    for name, tensor in net.state_dict().items():
        taken = name.startswith(("blocks.0.", "blocks.1."))
        assert torch.equal(tensor, torch.full_like(tensor, 7.0) if taken else before[name]), name


def test_what_is_not_used_is_named() -> None:
    fit = take(network(blocks=1), source(network(blocks=2, level=True)))
    assert fit.report()[1:] == ["not used here: blocks.1, level"]


def test_a_network_none_of_whose_blocks_fit_is_refused_untouched() -> None:
    net = network(width=8)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(ValueError, match=r"^training.finetune_path=runs/a/last.ckpt: no") as caught:
        take(net, source(network()))
    assert "blocks.0-2.weight is (4, 4) there, (8, 8) here" in str(caught.value)
    assert "head.bias" not in str(caught.value)  # it fits, but is nothing to begin with
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    with pytest.raises(ValueError, match=r"no weight of any block fits: not there: blocks"):
        take(net, source(network(width=8, blocks=0)))


def test_large_numbers_of_parameters_are_in_millions() -> None:
    fit = Fit({"a": (1200, 1000), "b": (50_000,)}, {"a": (1200, 1000)})
    assert fit.report()[0] == "took 1 of 2 weights (1.20M of 1.25M parameters)"


def test_a_module_stands_for_its_weights_only_where_all_are_meant() -> None:
    among = ["a.x.w", "a.x.b", "a.y.w", "ab.w", "c"]
    assert briefly(["a.x.w", "a.x.b"], among) == ["a.x"]
    assert briefly(["a.x.w", "a.y.w"], among) == ["a.x.w", "a.y"]
    assert briefly(["a.x.w", "a.x.b", "a.y.w"], among) == ["a"]
    assert briefly(["ab.w", "c"], among) == ["ab", "c"]
    assert briefly([], among) == []


def test_numbered_names_are_joined() -> None:
    names = [f"blocks.{number}.norm" for number in (10, 9, 8)] + ["blocks.2.out", "z.0", "z.2", "a"]
    assert numbered(names) == ["a", "blocks.2.out", "blocks.8-10.norm", "z.0,2"]


@pytest.mark.parametrize(
    ("averaged", "ema", "kind", "value"),
    [(True, True, "averaged", 1), (False, True, "raw", 0), (True, False, "raw", 0)],
)
def test_a_source_says_where_it_comes_from(
    averaged: bool, ema: bool, kind: str, value: float, tmp_path: Path
) -> None:
    file = tmp_path / "last.ckpt"
    torch.save(checkpoint(ema=ema, finetuned_from={"algo": "mdlm"}), file)
    read = read_source(file, averaged)
    assert float(read.weights["w"].read(slice(1))) == value
    assert read.provenance == {
        "algo": "duo",
        "steps": 3,
        "tokens": 3 * 2 * 8,
        "checkpoint": str(file),
        "checkpoint_digest": file_digest(file),
        "weights": kind,
        "finetuned_from": {"algo": "mdlm"},
    }


def test_one_process_reads_all_of_a_source_for_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that writes checkpoints, in which it is."""
    file = tmp_path / "last.ckpt"
    torch.save(checkpoint(), file)
    found = []
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        found.append(read_source(file, averaged=True).provenance["checkpoint_digest"])
    assert found == [file_digest(file), None]


def test_a_damaged_source_is_refused_under_its_own_key(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"^training.finetune_path=.*last.ckpt: truncated"):
        read_source(file, averaged=True)


def test_a_source_is_checked_by_parts(tmp_path: Path) -> None:
    """One file is one part; a damaged one, and one that is no longer there, are named."""
    file, other = tmp_path / "last.ckpt", tmp_path / "next"
    torch.save(checkpoint(), file)
    read = read_source(file, True, checked=slice(0))
    for part in (slice(None), slice(0, None, 2), slice(1, None, 2)):
        read.check(part)
    shutil.copyfile(file, other)
    other.replace(file)
    with pytest.raises(ValueError, match=r"^training.finetune_path=.*: replaced while it was read"):
        read.check(slice(1, None, 2))
    damaged = bytearray(file.read_bytes())
    damaged[damaged.index(b"global_step")] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"^training.finetune_path=.*: truncated, corrupt"):
        read.check(slice(0, None, 2))


def test_a_run_that_goes_on_keeps_its_origin(tmp_path: Path) -> None:
    origin = {"algo": "duo", "steps": 3}
    first = Checkpoints(tmp_path, 1, {}, StopSignals(), finetuned_from=origin)
    again = Checkpoints(tmp_path, 1, {}, StopSignals())
    saved: dict = {"global_step": 2, "loops": {"fit_loop": {}}}
    first.on_save_checkpoint(None, None, saved)
    again.on_load_checkpoint(SimpleNamespace(accumulate_grad_batches=1), None, saved)
    again.on_save_checkpoint(None, None, saved)
    assert saved["finetuned_from"] == origin
