"""The files of a corpus: which there are below a path, what is left out, what their content is."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.formats import COMPRESSED, Document, read_parquet, read_rows, read_text
from storage import file_digest

SUFFIXES = ".txt, .jsonl, .parquet, and .txt or .jsonl with .gz or .xz"
_SHOWN = 3  # names of each kind in a message


@dataclass
class Found:
    """Files in the order of their names, and what was passed over, by reason."""

    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    other: list[Path] = field(default_factory=list)  # their ending is not of SUFFIXES
    unreadable: list[Path] = field(default_factory=list)
    again: list[Path] = field(default_factory=list)  # links to files that are in `files`

    def left_out(self) -> list[str]:
        """A phrase for each reason, with how many and the first names; empty if there is none."""
        endings = Counter(file.suffix or "no ending" for file in self.other)
        kinds = ", ".join(sorted(endings)[: 2 * _SHOWN])
        reasons = [
            (self.hidden, f"hidden ({_names(self.hidden)})"),
            (self.other, f"of other endings ({kinds})"),
            (self.unreadable, f"unreadable ({_names(self.unreadable)})"),
            (self.again, f"links to files that are read already ({_names(self.again)})"),
        ]
        return [f"{len(files):,} {reason}" for files, reason in reasons if files]


def search(path: str, key: str) -> Found:
    """The file itself, or all readable files below a folder in the order of their names, with what
    was passed over. Links to folders are followed; each file is read once, whatever links there are
    to it. OSError where nothing is there, ValueError where nothing can be read; both name the
    key."""
    root = expanded(path, key)
    if root.is_file():
        if _kind(root) is None:
            raise ValueError(f"{key}={path!r}: unknown suffix; allowed: {SUFFIXES}")
        return Found([root])
    if not root.is_dir():
        what = "neither a file nor a folder" if root.exists() else "no such file or folder"
        raise FileNotFoundError(f"{key}={path!r}: {what}")
    found, real = Found(), set()
    for file in sorted(_below(root, found)):
        if _kind(file) is None:
            found.other.append(file)
        elif os.path.realpath(file) in real:
            found.again.append(file)
        else:
            real.add(os.path.realpath(file))
            found.files.append(file)
    if not found.files:
        there = "; ".join(found.left_out()) or "it is empty"
        raise ValueError(f"{key}={path!r}: no file here ends in {SUFFIXES}; {there}")
    return found


def expanded(path: str, key: str) -> Path:
    """The path with the home folder for its ~; ValueError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{key}={path!r}: this user has no home folder; name the path") from error


def read_documents(file: Path, text_key: str, key: str = "data.path") -> Iterator[Document]:
    """A txt file is one document; of a jsonl or parquet file each row's `text_key` is one.
    ValueError or OSError in one line that names the file where it cannot be read."""
    kind = _kind(file)
    if kind is None:
        raise ValueError(f"{key}={str(file)!r}: unknown suffix; allowed: {SUFFIXES}")
    if kind == ".txt":
        yield read_text(file, key)
    elif kind == ".jsonl":
        yield from read_rows(file, text_key, key)
    else:
        yield from read_parquet(file, text_key, key)


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 over the files' kinds and contents: the same wherever the corpus lies."""
    total = hashlib.sha256()
    for file in files:
        suffixes = [suffix.lower() for suffix in file.suffixes]
        packed = suffixes[-1] in (*COMPRESSED, ".zst")
        kind = "".join(suffixes[-2 if packed else -1 :])
        total.update(f"{kind} {file_digest(file)}\n".encode())
    return total.hexdigest()


def _below(root: Path, found: Found) -> Iterator[Path]:
    """The files below a folder that are not hidden; every real folder is entered once."""
    entered, waiting = {os.path.realpath(root)}, [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            found.unreadable.append(folder)
            continue
        for entry in entries:
            # os.path and not Path, which raises where a folder may not be searched.
            if entry.name.startswith("."):
                found.hidden.append(entry)
            elif os.path.isfile(entry):  # noqa: PTH113
                yield entry
            elif not os.path.isdir(entry):  # noqa: PTH112
                found.unreadable.append(entry)
            elif (real := os.path.realpath(entry)) not in entered:
                entered.add(real)
                waiting.append(entry)


def _kind(file: Path) -> str | None:
    """.txt, .jsonl or .parquet; None for what is no document."""
    suffix = file.suffix.lower()
    if suffix in COMPRESSED:
        inner = Path(file.stem).suffix.lower()
        return inner if inner in (".txt", ".jsonl") else None
    return suffix if suffix in (".txt", ".jsonl", ".parquet") else None


def _names(files: Sequence[Path]) -> str:
    more = ", ..." if len(files) > _SHOWN else ""
    return ", ".join(file.name for file in files[:_SHOWN]) + more
