"""Pickles as data: containers, numbers and text, and an inert record for every class or function
that they name. Nothing is imported, called or executed."""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MOST_BYTES = 2**26  # of a pickle; the largest tokenizers take half of it
MOST_OPERATIONS = 10**7

Functions = dict[str, Callable[..., Any]]


@dataclass(frozen=True, eq=False)
class Name:
    """A class or function of a pickle, by its whole name: a name and nothing else."""

    name: str


@dataclass(eq=False, repr=False)  # what it holds may be nested without end
class Record:
    """An object whose class is not known: its name, what it was made of, what was put into it."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None
    items: list[Any] = field(default_factory=list)  # (key, value) pairs of a mapping


def load(data: bytes, functions: Functions, persistent: Callable[[Any], Any] | None = None) -> Any:
    """The object of a pickle of protocol 2 or later. `functions` maps whole names to what a call of
    them gives; `persistent` maps a persistent id to its object. Sets are lists. ValueError for what
    is no pickle, holds other operations, or is too large."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"a pickle of {len(data):,} bytes, at most {MOST_BYTES:,} are read")
    machine = _Machine({**FUNCTIONS, **functions}, persistent)
    operations = pickletools.genops(data)
    for count, (operation, argument, _) in enumerate(operations):
        if count > MOST_OPERATIONS:
            raise ValueError(f"a pickle of more than {MOST_OPERATIONS:,} operations")
        if operation.name == "STOP":
            return machine.pop()
        if operation.name in CONSTANTS:
            machine.push(argument)
        elif operation.name in OPERATIONS:
            OPERATIONS[operation.name](machine, argument)
        else:
            raise ValueError(f"a pickle with the operation {operation.name}")
    raise AssertionError  # genops ends with STOP or an error


class _Machine:
    """The stack of values that are not yet part of another one, cut at each mark, and the memo."""

    def __init__(self, functions: Functions, persistent: Callable[[Any], Any] | None) -> None:
        self.functions = functions
        self.persistent = persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise ValueError("a pickle that takes more than it has put")
        return self.stack.pop()

    def top(self) -> Any:
        self.push(value := self.pop())
        return value

    def cut(self) -> list[Any]:
        """The values above the last mark."""
        if not self.below:
            raise ValueError("a pickle without a mark")
        values, self.stack = self.stack, self.below.pop()
        return values

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def push_tuple(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def append(self, values: list[Any]) -> None:
        target = self.top()
        into = target.items if isinstance(target, Record) else target
        if not isinstance(into, list):
            raise ValueError(f"a pickle that appends to {type(target).__name__}")
        into.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target, pairs = self.top(), list(zip(values[::2], values[1::2], strict=True))
        if isinstance(target, Record):
            target.items.extend(pairs)
        elif isinstance(target, dict):
            target.update(_mapping(pairs))
        else:
            raise ValueError(f"a pickle that sets items of {type(target).__name__}")

    def remember(self, number: int | None) -> None:
        self.memo[len(self.memo) if number is None else number] = self.top()

    def recall(self, number: int) -> None:
        if number not in self.memo:
            raise ValueError(f"a pickle without the object {number} that it refers to")
        self.push(self.memo[number])

    def push_name(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError("a pickle with a name that is no text")
        self.push(Name(f"{module}.{name}"))

    def call(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(arguments, tuple):
            raise ValueError("a pickle that calls without arguments")
        if isinstance(function, Name) and function.name in self.functions:
            value = self.functions[function.name](*arguments)
        else:  # the object that a call of a call would give has no name
            name = function.name if isinstance(function, Name) else type(function).__name__
            value = Record(name, arguments)
        self.stack.append(value)

    def call_with_keywords(self, _: Any) -> None:
        keywords = self.pop()
        self.call(None)
        if isinstance(record := self.top(), Record):
            record.items.append(keywords)

    def build(self, _: Any) -> None:
        """Sets the state of a record; that of a container (state_dict._metadata) plays no part."""
        state = self.pop()
        if isinstance(record := self.top(), Record):
            record.state = state

    def push_persistent(self, _: Any) -> None:
        if self.persistent is None:
            raise ValueError("a pickle that refers to objects outside of it")
        self.push(self.persistent(self.pop()))


def _mapping(pairs: Any = ()) -> dict[Any, Any]:
    """A dict of pairs whose keys are plain, so that hashing one takes no longer than reading it."""
    for key, _ in pairs:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(part is None or isinstance(part, (*PLAIN, Name, Record)) for part in parts):
            raise ValueError(f"a pickle with a {type(key).__name__} as a key")
    return dict(pairs)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes, as protocol 2 writes them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("a pickle with bytes in an unknown encoding")
    return text.encode("latin1")


PLAIN = (str, bytes, int, float, bool)
FUNCTIONS: Functions = {"collections.OrderedDict": _mapping, "_codecs.encode": _encode}
CONSTANTS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
OPERATIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": lambda machine, version: None,
    "FRAME": lambda machine, length: None,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "TUPLE1": lambda machine, _: machine.push_tuple(1),
    "TUPLE2": lambda machine, _: machine.push_tuple(2),
    "TUPLE3": lambda machine, _: machine.push_tuple(3),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.cut())),
    "LIST": lambda machine, _: machine.push(machine.cut()),
    "FROZENSET": lambda machine, _: machine.push(machine.cut()),
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.pop(),
    "POP_MARK": lambda machine, _: machine.cut(),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.cut()),
    "ADDITEMS": lambda machine, _: machine.append(machine.cut()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.cut()),
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "MEMOIZE": _Machine.remember,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": lambda machine, name: machine.push(Name(name.replace(" ", ".", 1))),
    "STACK_GLOBAL": _Machine.push_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.push_persistent,
}
