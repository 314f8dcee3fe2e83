"""Pickles are read as data, whatever they hold."""

import collections
import os
import pickle
import struct
from typing import Any

import pytest

from hub.unpickle import Name, Record, load


class Runs:
    """An object whose unpickling would call os.mkdir."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


PLAIN_OBJECTS = [
    None,
    [1, -2, 2**80, 0.5, True, "text", "\N{SNOWMAN}", b"bytes"],
    {"a": {"b": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]}, 3: None, ("x", "y"): 1},
    collections.OrderedDict(a=1, b=[2]),
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", PLAIN_OBJECTS)
def test_load_gives_containers_numbers_and_text(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol), {}) == value


@pytest.mark.parametrize("protocol", [2, 4])
def test_load_makes_an_inert_record_of_an_object(protocol: int) -> None:
    record = load(pickle.dumps(Plain([1, 2]), protocol), {})
    assert isinstance(record, Record)
    assert record.name.endswith("Plain")
    assert record.state == {"value": [1, 2]}


def test_load_calls_nothing(tmp_path: Any) -> None:
    folder = tmp_path / "made"
    record = load(pickle.dumps([Runs(str(folder))]), {})[0]
    assert (record.name, record.arguments) == ("posix.mkdir", (str(folder),))
    assert not folder.exists()


def test_load_keeps_what_is_put_into_a_record() -> None:
    counts = load(pickle.dumps(collections.Counter("aab"), 2), {})
    assert (counts.name, counts.arguments) == ("collections.Counter", ({"a": 2, "b": 1},))
    filled = load(pickle.dumps(collections.defaultdict(list, a=[1]), 2), {})
    assert filled.items == [("a", [1])]
    assert filled.arguments[0].name == "__builtin__.list"
    assert isinstance(filled.arguments[0], Name)


def test_load_compares_whole_names() -> None:
    """A function of a longer or dotted name is another one."""
    for name in ("collections.OrderedDict.fromkeys", "collections.OrderedDicts", "OrderedDict"):
        module, _, function = name.rpartition(".")
        data = b"\x80\x04" + b"".join(
            b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, function)
        )
        assert isinstance(load(data + b"\x93)R.", {}), Record)


def nested(count: int) -> bytes:
    """A tuple in a tuple, `count` deep."""
    return b"\x80\x02)" + b"\x85" * count + b"."


def doubled(count: int) -> bytes:
    """A tuple of twice the same tuple, `count` deep: 2 ** count leaves to whoever walks it."""
    steps = [
        b"r" + struct.pack("<I", i) + b"j" + struct.pack("<I", i) + b"\x86" for i in range(count)
    ]
    return b"\x80\x02)" + b"".join(steps)


def test_load_survives_what_is_nested_without_end() -> None:
    assert len(load(nested(1_000_000), {})) == 1
    assert len(load(doubled(100) + b".", {})) == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "pickle exhausted"),
        (b"\x80\x02]", "pickle exhausted"),
        (b"\x80\x02.", "takes more than it has put"),
        (b"\x80\x02t.", "without a mark"),
        (b"\x80\x02h\x07.", "without the object 7"),
        (b"\x80\x02N]a.", "appends to NoneType"),
        (b"\x80\x02NNNs.", "sets items of NoneType"),
        (b"\x80\x02NNR.", "calls without arguments"),
        (b"\x80\x02NQ.", "objects outside"),
        (b"\x80\x02}]Ns.", "a list as a key"),
        (b"\x80\x02I1\n.", "operation INT"),
        (b"\x80\x02(ios\nsystem\n.", "operation INST"),
        (b"\x80\x02\x82\x01.", "operation EXT1"),
        (b"\x80\x02}" + doubled(60)[2:] + b"Ns.", "a tuple as a key"),
        (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "byte count"),
        (b"\x80\x04\x8e" + b"\xff" * 6 + b"\x00\x00.", "expected"),
    ],
)
def test_load_refuses_what_is_no_data(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(data, {})


def test_load_does_not_set_aside_memory_for_a_large_number_of_an_object() -> None:
    assert load(b"\x80\x02]r\xff\xff\xff\xff.", {}) == []


def test_load_refuses_a_pickle_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.unpickle.MOST_OPERATIONS", 100)
    with pytest.raises(ValueError, match="more than 100 operations"):
        load(nested(200), {})
    monkeypatch.setattr("hub.unpickle.MOST_BYTES", 100)
    with pytest.raises(ValueError, match="204 bytes, at most 100"):
        load(nested(200), {})
