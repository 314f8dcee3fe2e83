"""The rows of a table that a command measures one after another, with a record for each."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evaluation.batch_cache import BatchCache
from training.signals import StopSignals

Fields = dict[str, Any]  # of a record


def record_rows(
    keys: Sequence[Any],
    measure: Callable[[int, list[Fields]], Fields],
    show: Callable[[list[Fields]], None],
    folder: Path,
    command: str,
    noun: str,
) -> None:
    """Records the fields that `measure` returns for the number of a row and all rows before it;
    those that the same `command` recorded before it was stopped are read. `show` prints the rows
    that there are, also where a later one fails. `keys` tell the rows apart."""
    rows: list[Fields] = []
    caches = [
        BatchCache(folder, [command, key], f"results_dir={folder}", command, alone=False)
        for key in keys
    ]
    with StopSignals() as signals:
        try:
            for number, cache in enumerate(caches):
                with cache.held():
                    path = cache.recorded()
                    if path is None:
                        rows.append(measure(number, rows))
                        cache.record(folder, rows[-1])
                    else:
                        rows.append(json.loads(path.read_text(encoding="utf-8")))
                done = f"{len(rows)} of {len(keys)} {noun} are recorded"
                signals.kept = f"{done}; the same command goes on"
        finally:  # also of a record that cannot be written
            if rows:
                show(rows)
    for cache in caches:
        cache.clear()
