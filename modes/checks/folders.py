"""Folders that a command will write into, looked at before its work; standard library only."""

import errno
from pathlib import Path
from tempfile import NamedTemporaryFile

GONE = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)


def check_writable(folder: str | Path, key: str) -> None:
    """OSError where no file can be written below `folder`, named `key`; nothing is left there."""
    folder = Path(folder)
    try:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        try:
            _probe(folder)
        finally:
            _remove(missing)
    except OSError as error:
        raise OSError(
            f"{key}={folder}: cannot be written ({error.strerror or error}); choose another folder"
        ) from error


def _probe(folder: Path) -> None:
    """A file is made and removed; a folder that another command's look removes is made again."""
    for left in reversed(range(10)):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
                probe.write(b"a file")
        except FileNotFoundError:
            if not left:
                raise
        else:
            return


def _remove(folders: list[Path]) -> None:
    """The innermost first; one that another command uses by now stays."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in GONE:
                raise
            return
