"""All starts of a training are one run of Weights & Biases, whose id lies in the run directory."""

import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from storage import new_file

FILE = "wandb_id"
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def continued(directory: Path, offline: bool) -> dict[str, Any]:
    """Arguments of a logger that goes on with the run of `directory`, new where it has none."""
    same = {"id": run_id(directory)}
    return same if offline else same | {"resume": "allow"}  # offline nothing is asked of the server


def run_id(directory: Path) -> str:
    """The id of the run; the first of several processes that asks for it makes it. ValueError for a
    file that holds no id."""
    file = directory / FILE
    if not file.exists():
        with suppress(FileExistsError):  # another process was first
            new_file(file, secrets.token_hex(4))
    stored = file.read_text(encoding="utf-8", errors="replace").strip()
    if not ID.fullmatch(stored):
        raise ValueError(f"{file}: {stored[:40]!r} is no id of a W&B run; remove the file")
    return stored
