"""Files of torch.save, read as data: by torch's own unpickler of weights, with an inert record for
every class and function that is not torch's. Nothing that they name is imported or called."""

import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from data.tokenizer_files import first_line
from storage import utf8_name
from training.checkpoint import DAMAGED, check_archive

SHOWN = 200  # characters of a reason
# Of torch where what stands for a storage is none.
FAULTS = (*DAMAGED, AssertionError)
DEFAULT_DICT = "collections.defaultdict"
MOST_NAMES = 1000  # torch looks through all of them for every object
MOST_VALUES = 10**5  # in a tuple and the tuples in it: each is a step of its hash
# Encodings of bytes into more bytes, which could be encoded again.
GROWING = {"hex", "hexcodec", "base64", "base64codec", "uu", "uucodec"}
GROWING |= {"quopri", "quopricodec", "quotedprintable"}


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
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith("/data.pkl"):
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{entry.filename} is compressed")
                _check_effort(archive.read(entry))
    with utf8_name(file) as name:
        return _mapped(name)


def _mapped(file: Path) -> Any:
    names = {*get_unsafe_globals_in_checkpoint(file)} - {DEFAULT_DICT}
    records = [(type(name, (Record,), {"name": name}), name) for name in names]
    # Without the function that makes its values, which nobody asks for.
    with safe_globals([*records, (lambda *arguments: {}, DEFAULT_DICT)]):
        return torch.load(file, map_location="cpu", mmap=True, weights_only=True)


def _check_effort(pickle: bytes) -> None:
    """ValueError for a short pickle that would take hours or all memory: with many names, bytes of
    any size, or a tuple of twice the same tuple, which is twice in another, and so on."""
    names: set[str] = set()
    counts: list[int] = []  # of the values in each object on the stack
    marks: list[int] = []
    memo: dict[Any, int] = {}
    grows = False
    for operation, argument, _ in pickletools.genops(pickle):
        kind, before = operation.name, [item.name for item in operation.stack_before]
        if kind == "GLOBAL":
            names.add(str(argument))
        elif isinstance(argument, str):
            grows |= re.sub("[^a-z0-9]+", "", argument.lower()) in GROWING
        if kind == "MARK":
            marks.append(len(counts))
        elif kind.endswith("BINPUT"):
            memo[argument] = counts[-1]
        elif kind.endswith("BINGET"):
            counts.append(memo[argument])
        else:
            is_marked = "mark" in before
            start = marks.pop() if is_marked else len(counts)
            start -= before.index("mark") if is_marked else len(before)
            taken, counts[start:] = counts[start:], []
            # Containers that change have no hash.
            is_fixed = kind.startswith("TUPLE") or kind in ("REDUCE", "NEWOBJ")
            counts += [1 + sum(taken) if is_fixed else 1] * len(operation.stack_after)
            if counts[-1:] > [MOST_VALUES]:
                raise ValueError(f"a tuple of more than {MOST_VALUES:,} values")
    if len(names) > MOST_NAMES:
        raise ValueError(f"{len(names):,} names of classes, at most {MOST_NAMES:,} are read")
    if any(name.endswith(" bytearray") for name in names) or (grows and "_codecs encode" in names):
        raise ValueError("bytes that may be far larger than the file")
