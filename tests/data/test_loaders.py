"""Loaders: batches cut ahead of time by threads, which nothing leaves behind; damaged pages."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.module import TokenDataModule

Make = Callable[..., TokenDataModule]


def test_batches_keep_their_order_whoever_cuts_them(make: Make, text_file: Path) -> None:
    alone, ahead = (make("text", path=str(text_file), num_workers=n) for n in (0, 3))
    for loaders in (
        (data.val_dataloader() for data in (alone, ahead)),
        (itertools.islice(data.train_dataloader(), 40) for data in (alone, ahead)),
    ):
        for here, there in zip(*loaders, strict=True):
            assert all(torch.equal(here[name], there[name]) for name in here)


def test_only_a_few_batches_are_cut_ahead(
    make: Make, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[list[int]] = []
    loader = make("text", path=str(text_file), num_workers=2).train_dataloader()
    batch = type(loader._view).batch
    monkeypatch.setattr(
        "data.packing.View.batch", lambda view, numbers: cut.append(numbers) or batch(view, numbers)
    )
    batches = iter(loader)
    for _ in range(10):
        next(batches)
    assert len(cut) <= 10 + 2 * 2


def test_no_thread_is_left_of_batches_that_are_left_early(make: Make, text_file: Path) -> None:
    before = threading.active_count()
    loader = make("text", path=str(text_file), num_workers=2).val_dataloader()
    first = [batch["index"].tolist() for batch in loader]
    assert len(first) == len(loader) and threading.active_count() == before
    part = iter(loader)
    next(part)
    assert threading.active_count() > before
    del part
    assert threading.active_count() == before
    assert [batch["index"].tolist() for batch in loader] == first


def test_batches_left_early_are_not_cut(
    make: Make, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk the end of a program would wait for them."""
    loader = make("text", path=str(text_file), num_workers=1).train_dataloader()
    batch, goes_on, cut = type(loader._view).batch, threading.Event(), itertools.count(1)

    def slow(view: Any, numbers: list[int]) -> Any:
        if next(cut) > 1:
            assert goes_on.wait(60)
        return batch(view, numbers)

    monkeypatch.setattr("data.packing.View.batch", slow)
    batches = iter(loader)
    next(batches)
    threading.Timer(0.2, goes_on.set).start()  # after the batches are left
    del batches
    assert next(cut) == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_a_page_that_was_not_verified_ends_the_run_in_a_line(
    make: Make, text_file: Path, workers: int
) -> None:
    keys = {"path": str(text_file), "num_workers": workers}
    data = make("text", **keys)
    file = data.store("train").folder / "tokens.bin"
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(ValueError, match=r"token 65535 of 257.*data\.verify=full"):
        next(iter(data.train_dataloader()))
    data = make("text", **keys, packing="pad", valid_path=str(text_file))
    file = data.store("train").folder / "offsets.bin"
    file.write_bytes(np.full(file.stat().st_size // 8, -5).tobytes())
    with pytest.raises(ValueError, match="a document outside the tokens"):
        next(iter(data.train_dataloader()))
