"""The CSV log of a run: rows are never lost when a column comes."""

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from storage import naming, write_atomic


class AtomicWriter(ExperimentWriter):
    """Lightning's, but for a new header: the whole file is written beside, then put in its place,
    so that a kill in between loses nothing. A full disk is a complaint with the file's name."""

    def save(self) -> None:
        with naming(Path(self.metrics_file_path)):
            super().save()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        file = Path(self.metrics_file_path)
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=fieldnames)
        writer.writeheader()
        writer.writerows(rows)
        write_atomic(file, text.getvalue())


class RunLog(CSVLogger):
    """metrics.csv of every start of a run, in a folder `name`/version_N of its own."""

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            made = super().experiment  # nothing on other processes than the first
            if isinstance(made, ExperimentWriter):
                self._experiment = AtomicWriter(log_dir=self.log_dir)
        return super().experiment
