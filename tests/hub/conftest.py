from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from algos.base import Algorithm
from hub import trained
from hub.imported_model import ImportedModel
from hub.open import open_model
from training.checkpoint import load_weights

PWNED = Path("/tmp/pwned")  # what the hostile files would create


@pytest.fixture
def nothing_runs() -> Iterator[None]:
    """A test after which no file has been run."""
    PWNED.unlink(missing_ok=True)
    yield
    assert not PWNED.exists()


@pytest.fixture
def imported(checkpoints: Path) -> Callable[[str], ImportedModel]:
    return lambda name: open_model(str(checkpoints / name))


@pytest.fixture
def algorithm_of() -> Callable[..., Algorithm]:
    """The algorithm of an imported model with its weights, averaged where it has such."""

    def make(model: ImportedModel, averaged: bool = True) -> Algorithm:
        config = model.checkpoint["config"]
        algorithm = trained.algorithm_of(config, model.vocab_size)
        load_weights(algorithm, model.checkpoint, averaged)
        return algorithm.eval()

    return make


@pytest.fixture
def expected(checkpoints: Path) -> Callable[[str], dict[str, Tensor]]:
    """The recorded arrays of a file, by the name of its npz."""

    def read(name: str) -> dict[str, Tensor]:
        with np.load(checkpoints / "expected" / f"{name}.npz") as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    return read
