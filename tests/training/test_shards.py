"""Parts of checkpoints are removed only where every index says that they are unused."""

import json
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("text", ["{", '{"mine": 1}', '{"folder": 1, "files": 2}', '{"a":' * 10**5])
def test_an_index_that_cannot_be_read_keeps_all_parts(text: str, folder: Path) -> None:
    (folder / "best.ckpt").write_text(text)
    remove_unused(folder)
    assert (folder / USED).is_dir() and (folder / OTHER).is_dir()
