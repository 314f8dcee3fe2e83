"""Folders that the method save_to_disk of the library datasets wrote."""

from pathlib import Path
from typing import Any

_DATASET, _SPLITS = "state.json", "dataset_dict.json"


def is_saved(folder: Path) -> bool:
    """Whether a folder holds one dataset or a dict of them."""
    return (folder / _SPLITS).is_file() or (folder / _DATASET).is_file()


def load_saved(folder: Path, expression: str) -> Any:
    """The rows of an expression such as "train[:-100]"; one dataset alone is the split "train".

    ValueError for a split that is not there, and for an expression that is none."""
    from datasets import Dataset, ReadInstruction, concatenate_datasets, load_from_disk

    loaded = load_from_disk(str(folder))
    splits = {"train": loaded} if isinstance(loaded, Dataset) else dict(loaded)
    lengths = {name: len(rows) for name, rows in splits.items()}
    parts = ReadInstruction.from_spec(expression).to_absolute(lengths)
    return concatenate_datasets(
        [splits[part.splitname].select(range(part.from_, part.to)) for part in parts]
    )
