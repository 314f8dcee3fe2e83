"""Fixtures of the data tests: no network, and nothing written outside the test's own folder."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir

import main
from data.build_module import build_data
from data.module import TokenDataModule
from data.settings import Data

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
RUN = {
    "length": 16,
    "global_batch_size": 8,
    "batch_size": 8,
    "eval_batch_size": 4,
    "num_workers": 0,
    "seed": 3,
}

OF_RUN = {*RUN, "stride", "limit_val_batches", "tokenizer"}

Make = Callable[..., TokenDataModule]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the environment: another room's tests may have imported the library before."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder of shared corpora and tokenizers is not beside the repository")
    return SHARED


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A data module of a configs/data file, with changes, caching below the test's folder."""

    def from_yaml(name: str, **changes: Any) -> TokenDataModule:
        data, fields = composed(name), vars(composed(name))
        of_run = RUN | {key: changes.pop(key) for key in list(changes) if key in OF_RUN}
        known = {key: changes.pop(key) for key in list(changes) if key in fields}
        own = {"cache_dir": str(tmp_path / "cache")} | known
        return build_data(replace(data, **own), changes, **of_run)

    return from_yaml


@functools.cache
def composed(name: str) -> Data:
    """The node of a configs/data file."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return main.compose([f"data={name}"]).data


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """2,000 numbered words in one file."""
    file = tmp_path / "words.txt"
    file.write_text(" ".join(f"word{i:04d}" for i in range(2000)))
    return file
