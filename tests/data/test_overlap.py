"""Training text that is validated on is refused, by content, whatever the files are called."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.module import TokenDataModule

Make = Callable[..., TokenDataModule]


def letters(seed: int, count: int = 3000) -> str:
    return "".join(np.random.default_rng(seed).choice(list("abcdefgh "), count))


def rows(numbers: range) -> str:
    return "".join(json.dumps({"text": f"{n}: {letters(n, 50)}"}) + "\n" for n in numbers)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    below = tmp_path / "text"
    below.mkdir()
    (below / "a.txt").write_text(letters(1))
    (below / "b.txt").write_text(letters(2))
    return below


def refusal(data: TokenDataModule) -> str:
    with pytest.raises(ValueError, match=r"^data\.valid_path: ") as caught:
        data.prepare_data()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def linked(held_out: Path, to: Path) -> None:
    to.with_suffix(".txt").symlink_to(held_out)


def packed(held_out: Path, to: Path) -> None:
    to.with_suffix(".txt.gz").write_bytes(gzip.compress(held_out.read_bytes()))


def row(held_out: Path, to: Path) -> None:
    to.with_suffix(".jsonl").write_text(json.dumps({"text": held_out.read_text()}) + "\n")


def test_a_validation_file_below_the_training_folder(make: Make, folder: Path) -> None:
    data = make("text", path=str(folder), valid_path=str(folder / "b.txt"))
    assert "b.txt is in the training text too" in refusal(data)


@pytest.mark.parametrize("put", [shutil.copy, linked, packed, row])
def test_validation_text_under_another_name(
    make: Make, folder: Path, tmp_path: Path, put: Callable[[Path, Path], object]
) -> None:
    held_out = tmp_path / "held_out.txt"
    held_out.write_text(letters(3))
    make("text", path=str(folder), valid_path=str(held_out)).prepare_data()
    put(held_out, folder / "copy.txt")
    refusal(make("text", path=str(folder), valid_path=str(held_out)))


def test_a_few_documents_are_said_and_many_refused(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, few, many = (tmp_path / f"{name}.jsonl" for name in ("train", "few", "many"))
    train.write_text(rows(range(100)))
    few.write_text(rows(range(99, 130)))
    many.write_text(rows(range(90, 130)))
    make("text", path=str(train), valid_path=str(few)).prepare_data()
    assert "1 of 31 validation documents" in capsys.readouterr().err
    line = refusal(make("text", path=str(train), valid_path=str(many)))
    assert "10 of 40 validation documents (25 % of the tokens)" in line


@pytest.mark.parametrize(
    ("train", "valid"),
    [("train", "train"), ("train", "train[-50:]"), ("train+validation", "train[50%:]")],
)
def test_splits_of_own_data_that_overlap(
    train: str, valid: str, make: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "train.jsonl").write_text(rows(range(200)))
    (folder / "validation.jsonl").write_text(rows(range(200, 220)))
    own = {"path": str(folder), "tokenizer_name_or_path": "bytes"}
    with pytest.raises(ValueError, match=r"^data\.valid_split: .*train\[:-N\]"):
        make("hub", **own, train_split=train, valid_split=valid).prepare_data()
    for apart in (("train", "validation"), ("train[:-50]", "train[-50:]")):
        make("hub", **own, train_split=apart[0], valid_split=apart[1]).prepare_data()
