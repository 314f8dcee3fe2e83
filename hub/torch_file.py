"""Files of torch.save, read as data: tensors on the memory-mapped file, records for all else."""

import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.tokenizer_files import first_line
from hub.unpickle import MOST_BYTES, Name, load
from training.checkpoint import DAMAGED

SHOWN = 200  # characters of a reason
DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}


class Entry(NamedTuple):
    """The bytes of one entry of the archive, which is not compressed."""

    start: int
    size: int


class Storage(NamedTuple):
    """`numbers` of a type, from their first byte in the file."""

    dtype: torch.dtype
    start: int
    numbers: int


def read_torch_file(file: Path) -> Any:
    """The object that torch.save wrote, in its zip format. ValueError in one line that names the
    file where it is truncated, changed, compressed or of another format, or a tensor leaves its
    storage."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = _entries(archive, file.stat().st_size)
            folder = next((name for name in entries if name.endswith("/data.pkl")), None)
            if folder is None:
                raise ValueError("there is no data.pkl in it")
            order = f"{folder.removesuffix('data.pkl')}byteorder"
            if order in entries and archive.read(order) != b"little":
                raise ValueError("its numbers are not little-endian")
            data = archive.read(folder)
        content = np.memmap(file, np.uint8, mode="c")
        tensor: Callable[..., Any] = partial(_tensor, content)
        return load(
            data,
            {
                "torch._utils._rebuild_tensor_v2": tensor,
                "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
            },
            partial(_storage, entries, folder.removesuffix("data.pkl")),
        )
    except DAMAGED as error:
        reason = first_line(error)[:SHOWN]
        raise ValueError(
            f"{file.name}: truncated, changed or not of torch.save ({reason})"
        ) from error


def top_keys(file: Path) -> frozenset[Any] | None:
    """The keys of the dict in a file of torch.save, of which no tensor is read; None where it is
    damaged or holds anything else."""
    try:
        with zipfile.ZipFile(file) as archive:
            pickles = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > MOST_BYTES:
                return None
            content = load(archive.read(pickles[0]), {}, lambda identity: None)
    except DAMAGED:
        return None
    return frozenset(content) if isinstance(content, dict) else None


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, Entry]:
    """Where each entry lies in the file of `size` bytes. Those of torch.save are not compressed, so
    that together they are no larger than the file."""
    entries: dict[str, Entry] = {}
    for info in archive.infolist():
        if info.filename in entries or info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{info.filename} is compressed, or there twice")
        archive.fp.seek(info.header_offset + 26)  # type: ignore[union-attr]
        lengths = np.frombuffer(archive.fp.read(4), "<u2")  # type: ignore[union-attr]
        start = info.header_offset + 30 + int(lengths.sum())
        entries[info.filename] = Entry(start, info.file_size)
    if sum(entry.size for entry in entries.values()) > size:
        raise ValueError("its entries overlap")
    damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")
    return entries


def _storage(entries: dict[str, Entry], folder: str, identity: Any) -> Storage:
    """Of ("storage", type, key, device, count)."""
    kind, name, key, _, count = identity
    if kind != "storage" or not isinstance(name, Name) or name.name not in DTYPES:
        raise ValueError(f"a storage of the type {name.name if isinstance(name, Name) else '?'}")
    entry = entries.get(f"{folder}data/{key}") if isinstance(key, str) else None
    if entry is None or type(count) is not int:
        raise ValueError("a storage that is not there")
    dtype = DTYPES[name.name]
    if count < 0 or count * dtype.itemsize > entry.size:
        raise ValueError(f"the storage {key} has {entry.size} bytes, not {count} numbers")
    return Storage(dtype, entry.start, count)


def _tensor(
    content: np.memmap, storage: Storage, offset: int, size: Any, stride: Any, *_: Any
) -> Tensor:
    """The tensor on its part of the file; copied only where the file does not align its numbers."""
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise ValueError("a tensor whose shape, strides and offset are no counts")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count and (last >= storage.numbers or count > storage.numbers):
        raise ValueError(
            f"a tensor of shape {size} leaves its storage of {storage.numbers} numbers"
        )
    if not count:
        return torch.empty(size, dtype=storage.dtype)
    part = content[storage.start : storage.start + storage.numbers * storage.dtype.itemsize]
    values = torch.from_numpy(part if storage.start % storage.dtype.itemsize == 0 else part.copy())
    return values.view(storage.dtype).as_strided(size, stride, offset)
