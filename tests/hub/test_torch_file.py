"""Files of torch.save are read as data, whatever they hold, and damaged ones are refused."""

import collections
import os
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from hub.torch_file import Record, read_torch_file, top_keys

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, *INTEGERS)


class Runs:
    """An object whose unpickling would call a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


def saved(tmp_path: Path, content: Any) -> Path:
    torch.save(content, tmp_path / "file.ckpt")
    return tmp_path / "file.ckpt"


def rewritten(file: Path, changes: dict[str, bytes | None], compress: int = 0) -> Path:
    """The archive with other entries, checksums right; None leaves one out."""
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", compress) as archive:
        for name, data in entries.items():
            new = changes.get(name.partition("/")[2], data)
            if new is not None:
                archive.writestr(name, new)
    return file


@pytest.mark.parametrize("dtype", DTYPES)
def test_read_torch_file_gives_tensors_of_every_type(dtype: torch.dtype, tmp_path: Path) -> None:
    whole = torch.randn(6, 4).mul(3).to(dtype)
    parameter = torch.nn.Parameter(torch.randn(2))
    content = {
        "whole": whole,
        "part": whole[1::2, 1:].t(),
        "scalar": whole[0, 0],
        "empty": whole[:0],
        "parameter": parameter,
    }
    read = read_torch_file(saved(tmp_path, content))
    assert read.keys() == content.keys()
    for name, tensor in content.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor.detach())


def test_read_torch_file_changes_no_file(tmp_path: Path) -> None:
    file = saved(tmp_path, {"a": torch.zeros(3)})
    read_torch_file(file)["a"].fill_(1)
    assert torch.equal(read_torch_file(file)["a"], torch.zeros(3))


def test_read_torch_file_gives_containers_numbers_and_text(tmp_path: Path) -> None:
    content = {
        "numbers": [1, -2, 2**80, 0.5, True, None],
        "text": ["text", "\N{SNOWMAN}", b"bytes"],
        ("a", 3): {"b": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]},
        "ordered": collections.OrderedDict(a=1, b=[2]),
        "default": collections.defaultdict(list, a=[1]),
    }
    assert read_torch_file(saved(tmp_path, content)) == content
    assert top_keys(tmp_path / "file.ckpt") == content.keys()


def test_read_torch_file_makes_an_inert_record_of_an_object(tmp_path: Path) -> None:
    record = read_torch_file(saved(tmp_path, Plain([1, Plain(2)])))
    assert isinstance(record, Record) and record.name.endswith("Plain")
    number, inner = record.state["value"]
    assert number == 1 and inner.state == {"value": 2}


@pytest.mark.parametrize(
    "function", [os.mkdir, Path.mkdir, eval, getattr, __import__, collections.OrderedDict.fromkeys]
)
def test_read_torch_file_calls_nothing(function: Any, tmp_path: Path) -> None:
    """Refused, or an inert record."""
    folder = tmp_path / "made"
    arguments = (f"__import__('os').mkdir({str(folder)!r})",) if function is eval else (folder,)
    file = saved(tmp_path, {"weight": torch.zeros(1), "runs": Runs(function, *arguments)})
    try:
        assert isinstance(read_torch_file(file)["runs"], Record)
    except ValueError as refusal:
        assert len(str(refusal).splitlines()) == 1
    assert not folder.exists()


def test_read_torch_file_says_what_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"file\.ckpt: .*\(.*posix\.mkdir whose module posix is"):
        read_torch_file(saved(tmp_path, Runs(os.mkdir, "made")))
    assert top_keys(tmp_path / "file.ckpt") is None


def test_read_torch_file_refuses_every_damage(tmp_path: Path) -> None:
    """A part of the file, or one byte of it changed: refused in one line, or of no effect."""
    content = {"a": torch.arange(40.0), "b": [1, {"c": torch.ones(3, 3)}]}
    file, draws = saved(tmp_path, content), random.Random(1)
    whole, damaged = file.read_bytes(), tmp_path / "damaged.ckpt"
    for number in range(400):
        place = draws.randrange(len(whole))
        changed = bytes([whole[place] ^ draws.randrange(1, 256)])
        ends = (whole[:place], whole[:place] + changed + whole[place + 1 :])
        damaged.write_bytes(ends[number % 2])
        try:
            read = read_torch_file(damaged)
        except ValueError as refusal:
            assert str(refusal).startswith("damaged.ckpt: ")
            assert len(str(refusal).splitlines()) == 1
            continue
        assert torch.equal(read["a"], content["a"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data/0": None}, "data/0: file not found"),
        ({"data.pkl": None}, "data.pkl: file not found"),
    ],
)
def test_read_torch_file_refuses_parts_that_do_not_fit(
    changes: dict[str, bytes | None], reason: str, tmp_path: Path
) -> None:
    file = saved(tmp_path, torch.zeros(4))
    with pytest.raises(ValueError, match=reason):
        read_torch_file(rewritten(file, changes))


def test_read_torch_file_refuses_what_is_compressed(tmp_path: Path) -> None:
    """A small file could unpack to more than there is memory."""
    file = saved(tmp_path, torch.zeros(4))
    with pytest.raises(ValueError, match="compressed"):
        read_torch_file(rewritten(file, {}, zipfile.ZIP_DEFLATED))


def doubled(count: int) -> bytes:
    """A tuple of twice the same tuple, `count` deep: 2 ** count steps to whoever hashes it."""
    numbers = (struct.pack("<I", number) for number in range(count))
    return b")" + b"".join(b"r" + number + b"j" + number + b"\x86" for number in numbers)


def encoded(name: bytes) -> bytes:
    return b"c_codecs\nencode\nX\x01\0\0\0aX" + struct.pack("<I", len(name)) + name + b"\x86R"


@pytest.mark.parametrize(
    ("pickle", "reason"),
    [
        (b"}" + doubled(60) + b"Ns", "a tuple of more than 100,000 values"),
        (b"cbuiltins\nset\n]" + doubled(60) + b"a\x85R", "a tuple of more than 100,000 values"),
        (b"cbuiltins\nbytearray\nK\x09\x85R", "far larger than the file"),
        (encoded(b"hex"), "far larger than the file"),
        (encoded(b"Quoted-printable"), "far larger than the file"),
        (b"]" + b"".join(b"cm\nc%d\na" % number for number in range(1001)), "1,001 names"),
    ],
)
def test_read_torch_file_refuses_what_takes_hours_or_all_memory(
    pickle: bytes, reason: str, tmp_path: Path
) -> None:
    file = rewritten(saved(tmp_path, 0), {"data.pkl": b"\x80\x02" + pickle + b"."})
    with pytest.raises(ValueError, match=reason):
        read_torch_file(file)
    assert top_keys(file) is None


def test_top_keys_does_not_unpack(tmp_path: Path) -> None:
    """A small file could unpack to more than there is memory."""
    assert top_keys(rewritten(saved(tmp_path, {"a": 1}), {}, zipfile.ZIP_DEFLATED)) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"K\x04\x85", b"K\x05\x85", "resize storage"),  # shape (5,)
        (b"K\x01\x85", b"K\x09\x85", "resize storage"),  # stride (9,)
        (b"K\x01\x85", b"N\x85", "truncated, changed or not"),  # stride (None,)
        (b"FloatStorage", b"ThingStorage", "'dtype'"),
        (b"K\x04\x85", b"K\x04K\x04\x86", "unequal size length"),
        (b"K\x04\x85", b"J\x00\x00\x00\xff\x85", "overflow"),  # a negative shape
    ],
)
def test_read_torch_file_refuses_tensors_outside_of_their_storage(
    old: bytes, new: bytes, reason: str, tmp_path: Path
) -> None:
    file = saved(tmp_path, torch.zeros(4))
    with zipfile.ZipFile(file) as archive:
        data = archive.read("file/data.pkl")
    assert old in data
    with pytest.raises(ValueError, match=reason):
        read_torch_file(rewritten(file, {"data.pkl": data.replace(old, new, 1)}))
