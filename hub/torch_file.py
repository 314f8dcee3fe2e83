"""Files of torch.save, read as data: by torch's own unpickler of weights, with an inert record for
every class and function that is not torch's. Nothing that they name is imported or called."""

from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from data.tokenizer_files import first_line
from training.checkpoint import DAMAGED, check_archive

SHOWN = 200  # characters of a reason
# Of torch where what stands for a storage is none.
FAULTS = (*DAMAGED, AssertionError)
DEFAULT_DICT = "collections.defaultdict"


class Record:
    """An object of a class that is not known here: its name, and what was put into it."""

    name = ""
    state: Any = None

    def __new__(cls, *arguments: Any) -> "Record":
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __repr__(self) -> str:
        return f"<{self.name}>"


def read_torch_file(file: Path) -> Any:
    """The object that torch.save wrote, in its zip format, tensors on the memory-mapped file.
    ValueError in one line that names the file where it is truncated, changed, compressed or of
    another format, or asks for what no file of weights does."""
    try:
        check_archive(file)
        return _load(file)
    except FAULTS as error:
        # Torch's advice stands in front of a refusal; what it refused is the error below.
        reason = first_line(error.__context__ or error)[:SHOWN]
        raise ValueError(
            f"{file.name}: truncated, changed or not of torch.save ({reason})"
        ) from error


def top_keys(file: Path) -> frozenset[Any] | None:
    """The keys of the dict in a file of torch.save, of which no tensor is read; None where it is
    damaged or holds anything else."""
    try:
        content = _load(file)
    except FAULTS:
        return None
    return frozenset(content) if isinstance(content, dict) else None


def _load(file: Path) -> Any:
    names = {*get_unsafe_globals_in_checkpoint(file)} - {DEFAULT_DICT}
    records = [(type(name, (Record,), {"name": name}), name) for name in names]
    # Without the function that makes its values, which nobody asks for.
    with safe_globals([*records, (lambda *arguments: {}, DEFAULT_DICT)]):
        return torch.load(file, map_location="cpu", mmap=True, weights_only=True)
