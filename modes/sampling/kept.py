"""Batches that were drawn already: kept on disk until all are, so that a run that was stopped goes
on where it was."""

import hashlib
import json
import shutil
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from modes.sampling.texts import Correction, Text


class Made(NamedTuple):
    """The texts of a batch, the texts shown to the network for them, and the seconds it took."""

    texts: list[Text]
    evaluations: int
    seconds: float


class Kept:
    """A folder of finished batches by number, for one `key`: all that the texts depend on."""

    def __init__(self, folder: Path, key: Any):
        mark = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = folder / f"unfinished-{mark}"

    def read(self) -> dict[int, Made]:
        """Every batch that is there."""
        return {int(file.stem): _read(file) for file in self.folder.glob("[0-9]*.json")}

    def write(self, number: int, made: Made) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".{number}.{uuid.uuid4().hex}"  # nodes share the folder
        beside.write_text(json.dumps(made), encoding="utf-8")
        beside.replace(self.folder / f"{number}.json")

    def clear(self) -> None:
        """Forgets them, when they are in a file of samples."""
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _read(file: Path) -> Made:
    texts, evaluations, seconds = json.loads(file.read_text(encoding="utf-8"))
    return Made(
        [Text(tokens, correction and Correction(*correction)) for tokens, correction in texts],
        evaluations,
        seconds,
    )
