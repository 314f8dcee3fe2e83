"""Folders that a command will write into, looked at before its work; standard library only."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile


def check_writable(folder: str | Path, key: str) -> None:
    """OSError where no file can be written below `folder`, named `key`; nothing is left there."""
    folder = Path(folder)
    try:
        # What is missing will be made in the innermost folder that is there.
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        with NamedTemporaryFile(dir=there, prefix=".probe-") as probe:
            probe.write(b"a file")
        for path in (folder, *folder.parents):
            with suppress(FileNotFoundError):
                os.lstat(there / path.name)  # refuses a name that is too long
    except OSError as error:
        raise OSError(
            f"{key}={folder}: cannot be written ({error.strerror or error}); choose another folder"
        ) from error
