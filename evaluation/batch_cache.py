"""Finished batches of an evaluation, kept on disk until its command is done, and after them the
record that it wrote."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evaluation import record_schema
from evaluation.commit import base, commit
from evaluation.records import record_path, write_record
from storage import Held, holding, write_atomic
from training.signals import is_first_process

RECORD = "record.json"
DIGEST = hashlib.sha256(b"").digest_size


def mark_of(key: Any) -> str:
    """16 hexadecimal digits of the digest of `key`."""
    text = json.dumps(key, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class BatchCache:
    """A folder in `folder` for one `key`, all that the batches depend on. `setting` is the setting
    of that folder in messages, `command` the digest of the command; unless the command writes this
    record `alone`, its batches are for the same command only."""

    def __init__(self, folder: Path, key: Any, setting: str, command: str, alone: bool = True):
        code = base(commit())  # whatever files of it were edited since
        mark = mark_of([key, code, None if alone else command])
        self.folder = folder / f"unfinished-{mark}"
        self.setting = setting
        self.command = command
        self.alone = alone

    @contextmanager
    def held(self) -> Iterator[None]:
        """Held, in one line, where another process is at the same batches."""
        with holding(_lock(self.folder), f"{self.setting}, the same evaluation"):
            clear_recorded(self.folder.parent)
            yield

    def write(self, name: str, content: bytes) -> None:
        try:
            write_atomic(self.folder / name, hashlib.sha256(content).digest() + content)
        except OSError as error:
            raise OSError(f"{self.setting}: cannot keep {name}: {error.strerror}") from error

    def read(self, pattern: str) -> dict[str, bytes]:
        """Content by name of the files that are whole; the others are named and left out."""
        whole = {}
        for file in sorted(self.folder.glob(pattern)):
            content = _content(file)
            if content is not None:
                whole[file.name] = content
            elif is_first_process():
                print(f"{file}: damaged, made again", file=sys.stderr)
        return whole

    def record(self, folder: Path, fields: dict[str, Any]) -> Path:
        """Writes the record of the batches and removes them. A command that is stopped meanwhile
        finds it, and writes no second one."""
        note = {
            "fields": {name: record_schema.plain(value, name) for name, value in fields.items()},
            "path": str(record_path(folder, fields).resolve()),
            "command": self.command,
            "alone": self.alone,
        }
        self.write(RECORD, json.dumps(note).encode())
        path = write_record(folder, fields)
        for file in self.folder.glob("*"):
            if file.name != RECORD:
                file.unlink(missing_ok=True)
        return path

    def recorded(self) -> Path | None:
        """The record that this command wrote before it was stopped, or was about to write; None for
        none."""
        note = read_note(self.folder)
        if note.get("command") != self.command:
            return None
        path = Path(note["path"])
        if is_first_process() and not path.is_file():
            write_record(path.parent, note["fields"])
        return path

    def clear(self) -> None:
        """Removes everything, once the command is done."""
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _content(file: Path) -> bytes | None:
    """The content of a file behind its digest; None where it is not whole or not there."""
    content = file.read_bytes() if file.is_file() else b""
    stated, content = content[:DIGEST], content[DIGEST:]
    return content if hashlib.sha256(content).digest() == stated else None


def read_note(folder: Path) -> dict[str, Any]:
    """The note on the record of a folder of batches, empty where there is none."""
    note: dict[str, Any] = json.loads(_content(folder / RECORD) or b"{}")
    return note


def clear_recorded(folder: Path) -> None:
    """Removes the folders of commands that were killed between their only record and the end."""
    for left in folder.glob("unfinished-*"):
        with suppress(PermissionError):  # another user's
            _clear_recorded(left)


def _clear_recorded(left: Path) -> None:
    note = read_note(left)
    if not note.get("alone") or not Path(note.get("path", "")).is_file():
        return
    with suppress(Held), holding(_lock(left), "unfinished"):  # held: it is about to do so itself
        shutil.rmtree(left)


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")
