"""Folders that are whole or absent: written beside under a name of their own, then moved into
place, by whoever holds a lock on them."""

import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.atomic import naming, sync


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder of files, which takes the place of `folder` when the block ends without an
    exception; otherwise that stays as it was. What a killed writer left is mended first. An error
    of the system speaks of `folder`, the name that the user knows."""
    _mend(folder)
    new = _beside(folder, "partial")
    try:
        with naming(folder):
            new.mkdir()
            yield new
            for path in (*new.iterdir(), new):
                sync(path)
            _put(new, folder)
    except OSError as error:
        for key in ("filename", "filename2"):
            name = getattr(error, key)
            if isinstance(name, str) and name.startswith(str(new)):
                setattr(error, key, str(folder) + name.removeprefix(str(new)))
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def unfinished(folder: Path) -> dict[Path, Path]:
    """What killed or living writers have in `folder`, each with the folder that it is to be."""
    return {part: folder / part.name[1:].rsplit(".", 2)[0] for part in folder.glob(".*.partial")}


def _beside(folder: Path, end: str) -> Path:
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.{end}")


def _mend(folder: Path) -> None:
    """Undoes what a killed writer left: its part, and what it had put aside already."""
    # Not those of a folder whose name is this one, a dot and more.
    each = f".{glob.escape(folder.name)}.{'?' * len(uuid.uuid4().hex)}"
    for left in folder.parent.glob(f"{each}.partial"):
        with suppress(PermissionError):  # another user's stays
            shutil.rmtree(left)
    for old in folder.parent.glob(f"{each}.old"):
        with suppress(PermissionError):
            if os.path.lexists(folder):
                _remove(old)
            else:
                old.rename(folder)


def _put(new: Path, folder: Path) -> None:
    """`new` under the name of `folder`; what is there goes, be it a file or a link."""
    old = _beside(folder, "old")
    is_there = os.path.lexists(folder)
    if is_there:
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if is_there:
            old.rename(folder)
        raise
    sync(folder.parent)
    if is_there:
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
