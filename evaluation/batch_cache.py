"""What an evaluation that was stopped has done already: its finished batches, and after them the
record that it wrote, until the whole command is done."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluation import record_schema
from evaluation.records import commit, read_records, write_record
from storage import Held, holding, write_atomic
from training.signals import is_first_process

RECORD = "record.json"
DIGEST = hashlib.sha256(b"").digest_size


def mark_of(key: Any) -> str:
    """16 hexadecimal digits of everything that `key` says."""
    text = json.dumps(key, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code() -> str | None:
    """The commit of the code, whatever files of it were edited since."""
    found = commit()
    return found and found.removesuffix("-dirty")


class BatchCache:
    """A folder in `folder` for one `key`, all that the batches depend on; `setting` is what the
    configuration says of where that is, `command` the digest of the command, and `alone` whether
    the command writes this record only: if not, what is kept is for this command."""

    def __init__(self, folder: Path, key: Any, setting: str, command: str, alone: bool = True):
        own = [key, code(), None if alone else command]
        self.folder = folder / f"unfinished-{mark_of(own)}"
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
        found = {}
        for file in sorted(self.folder.glob(pattern)):
            content = file.read_bytes()
            mark, content = content[:DIGEST], content[DIGEST:]
            if hashlib.sha256(content).digest() == mark:
                found[file.name] = content
            elif is_first_process():
                print(f"{file}: damaged, made again", file=sys.stderr)
        return found

    def record(self, folder: Path, fields: dict[str, Any]) -> Path:
        """Writes the record of the batches and forgets them. A command that is stopped meanwhile
        finds it, and writes no second one."""
        plain = {name: record_schema.plain(value, name) for name, value in fields.items()}
        self._note({"fields": plain, "results_dir": str(folder)})
        path = write_record(folder, fields)
        self._note({"path": str(path.resolve())})
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
        if "path" in note:
            path = Path(note["path"])
            return path if path.is_file() else None
        if not is_first_process():
            return self.folder / RECORD
        folder, fields = Path(note["results_dir"]), note["fields"]
        found = _of_fields(folder, fields) or write_record(folder, fields)
        self._note({"path": str(found.resolve())})
        return found

    def clear(self) -> None:
        """Forgets everything, when nothing more can be gone on with."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _note(self, said: dict[str, Any]) -> None:
        own = {"command": self.command, "alone": self.alone}
        self.write(RECORD, json.dumps(said | own).encode())


def read_note(folder: Path) -> dict[str, Any]:
    """What a folder of batches says of their record, nothing where there is none."""
    content = (folder / RECORD).read_bytes() if (folder / RECORD).is_file() else b""
    mark, text = content[:DIGEST], content[DIGEST:]
    if not text or hashlib.sha256(text).digest() != mark:
        return {}
    note: dict[str, Any] = json.loads(text)
    return note


def clear_recorded(folder: Path) -> None:
    """Removes what commands left that were killed between their only record and the end."""
    for left in folder.glob("unfinished-*"):
        note = read_note(left)
        if not note.get("alone") or not Path(note.get("path", "")).is_file():
            continue
        try:
            with holding(_lock(left), "unfinished"):
                shutil.rmtree(left)
        except Held:  # it is about to do so itself
            continue


def _of_fields(folder: Path, fields: dict[str, Any]) -> Path | None:
    """The path of the record with these fields, None for none."""
    records = read_records(folder)[0] if folder.is_dir() else []
    return next((one.path for one in records if fields.items() <= one.fields.items()), None)


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")
