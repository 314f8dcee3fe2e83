"""The folder of an export: whole or not at all, and never in the place of anything else; only the
standard library."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage import file_digest, holding, replacing_folder

LISTING = "export.json"  # the files of an export, with the sha256 of each


def check_replaceable(folder: Path, key: str) -> None:
    """ValueError, which begins with `key`, unless nothing is there, or an empty folder, or an
    export that nobody changed."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{key}={folder}: a file; a folder is needed")
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    if not there:
        return
    listed = _listed(folder / LISTING)
    if listed is None:
        raise ValueError(
            f"{key}={folder}: it holds something else ({min(there)}); an empty folder, an earlier "
            f"export or a new name is needed"
        )
    for name in sorted(there - {LISTING}):
        if listed.get(name) != file_digest(folder / name):
            what = "changed" if name in listed else "put there"
            raise ValueError(
                f"{key}={folder}: {name} was {what} after the export, which would be lost; choose "
                f"another folder"
            )


def _listed(file: Path) -> dict[str, str] | None:
    """The files of an export by its listing, None where there is none."""
    try:
        files = json.loads(file.read_bytes())["files"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return files if isinstance(files, dict) else None


@contextmanager
def replacing_export(folder: Path, key: str) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `folder` when the block ends without an
    exception; otherwise that stays as it was. ValueError as `check_replaceable`, and where another
    process is writing it."""
    folder = folder.resolve()
    with holding(folder.with_name(f".{folder.name}.lock"), f"{key}={folder}"):
        check_replaceable(folder, key)
        with replacing_folder(folder) as new:
            yield new
            files = {path.name: file_digest(path) for path in sorted(new.iterdir())}
            (new / LISTING).write_text(json.dumps({"files": files}, indent=1) + "\n")
