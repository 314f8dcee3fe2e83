"""Checkpoints whose tensors lie in several files, some rows of each tensor in each: a folder of
safetensors files with an index in JSON, and beside it a file that is a copy of that index.

The folder is renamed when it is whole, then the file replaces the older one, so that the name
of a checkpoint always leads to a whole one; folders that no file leads to are removed."""

import json
import re
import shutil
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, cat, empty

from storage import file_digest, utf8_name

INDEX = "index.json"
FOLDER = re.compile(r"\.?shards-[0-9a-f]{32}")  # with a dot while it is written
TENSOR, TUPLE, ITEMS = "$tensor", "$tuple", "$items"

Shape = tuple[int, ...]
Read = Callable[[slice], Tensor]  # the rows of a tensor
# Makes of the shape of a tensor and its rows what a reader needs of them.
Take = Callable[[Shape, Read], Tensor]


def take_all(shape: Shape, read: Read) -> Tensor:
    return read(slice(None))


def take_shape(shape: Shape, read: Read) -> Tensor:
    return empty(shape, device="meta")


def encoded(value: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """`value` as JSON, its tensors in `tensors` by their path; TypeError for what is no plain
    data."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {TENSOR: path}
    if isinstance(value, dict):
        pairs = [(key, encoded(one, tensors, f"{path}/{key}")) for key, one in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return dict(pairs)
        return {ITEMS: [list(pair) for pair in pairs]}
    if isinstance(value, list | tuple):
        each = [encoded(one, tensors, f"{path}/{number}") for number, one in enumerate(value)]
        return {TUPLE: each} if isinstance(value, tuple) else each
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path}: a checkpoint holds plain data and tensors, not {type(value)}")


def decoded(value: Any, tensor: Callable[[str], Tensor]) -> Any:
    """The inverse of `encoded`, with tensors by their path."""
    again = partial(decoded, tensor=tensor)
    if isinstance(value, list):
        return [again(one) for one in value]
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        return tensor(value[TENSOR])
    if TUPLE in value:
        return tuple(again(one) for one in value[TUPLE])
    if ITEMS in value:
        return {key: again(one) for key, one in value[ITEMS]}
    return {key: again(one) for key, one in value.items()}


def is_index(file: Path) -> bool:
    """Whether a checkpoint file is an index of others."""
    with file.open("rb") as stream:
        return stream.read(1) == b"{"


def read_index(file: Path) -> dict[str, Any]:
    """The index at `file`; ValueError for JSON that is none."""
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    kinds = {"folder": str, "files": dict, "content": dict}
    if (
        not isinstance(index, dict)
        or not all(isinstance(index.get(key), kind) for key, kind in kinds.items())
        or not FOLDER.fullmatch(index["folder"])
    ):
        raise ValueError("an index without folder, files and content")
    return index


def read_shards(
    file: Path,
    take: Take = take_all,
    part: slice = slice(None),
    without: Collection[str] = (),
) -> dict[str, Any]:
    """The checkpoint whose index is at `file`, with what `take` makes of its tensors, after a
    check of a `part` of its files; `without` some of its content, whose tensors are not read.
    FileNotFoundError for a file that is not there, ValueError for one with another sha256."""
    index = read_index(file)
    for name in without:
        index["content"].pop(name, None)
    folder = file.parent if file.name == INDEX else file.parent / index["folder"]
    digests: dict[str, str] = index["files"]
    for name in digests:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"its part {folder.name}/{name} is missing")
    for name, stated in list(digests.items())[part]:
        if file_digest(folder / name) != stated:
            raise ValueError(f"the checksum of {folder.name}/{name} is wrong")
    pieces = Pieces(folder, list(digests))
    content: dict[str, Any] = decoded(index["content"], partial(pieces.taken, take=take))
    return content


def _opened(file: Path) -> Any:
    with utf8_name(file) as name:
        return safe_open(name, "pt")


class Pieces:
    """The tensors of safetensors files, each of which says of every tensor the shape of the whole
    and the row of it that its part begins with."""

    def __init__(self, folder: Path, names: list[str]):
        self.files = [_opened(folder / name) for name in names]
        self.shapes: dict[str, Shape] = {}
        self.parts: dict[str, list[tuple[int, Any]]] = {}  # the first row, the file
        for file in self.files:
            for key, (shape, start) in json.loads(file.metadata()["tensors"]).items():
                self.shapes[key] = tuple(shape)
                self.parts.setdefault(key, []).append((start, file))

    def taken(self, key: str, take: Take) -> Tensor:
        """ValueError for a tensor that is not there, or not all of it."""
        if key not in self.shapes:
            raise ValueError(f"no part has {key}")
        shape = self.shapes[key]
        return take(shape, partial(self._rows, key, shape))

    def _rows(self, key: str, shape: Shape, rows: slice) -> Tensor:
        if not shape or 0 in shape:
            return self.parts[key][0][1].get_tensor(key)
        first, last, _ = rows.indices(shape[0])
        found, at = [], first
        for start, file in sorted(self.parts[key], key=lambda part: part[0]):
            own = file.get_slice(key)
            stop = min(last, start + own.get_shape()[0])
            if start <= at < stop:
                found.append(own[at - start : stop - start])
                at = stop
        if at < last:
            raise ValueError(f"{key} lacks its row {at}")
        if not found:  # no rows are asked for
            return self.parts[key][0][1].get_slice(key)[:0]
        return found[0] if len(found) == 1 else cat(found)


def remove_unused(folder: Path, but: str = "") -> None:
    """Removes the parts in `folder` that no index there leads to, but those with this name; none
    where one of the indices cannot be read, which says of no part that it is unused."""
    try:
        files = [file for file in folder.glob("*.ckpt") if file.is_file() and is_index(file)]
        used = {but, *(read_index(file)["folder"] for file in files)}
    except (OSError, ValueError):
        return
    for path in folder.iterdir():
        if FOLDER.fullmatch(path.name) and path.name not in used and path.is_dir():
            shutil.rmtree(path)
