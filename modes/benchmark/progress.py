"""Progress of a benchmark: one bar on a terminal, a line for each stage in a log."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

# Durations of the stages relative to one another until one is measured: of the small default run.
USUAL = {"train": 4.0, "ppl_eval": 2.0, "sample_eval": 1.0}


class Overview:
    """Finished rows, and a fraction of this one by how long its stages took in earlier rows."""

    def __init__(self, rows: int, terminal: bool, clock: Callable[[], float] = time.monotonic):
        self.rows, self.clock = rows, clock
        self.started = self._entered = clock()
        self.durations: dict[str, list[float]] = defaultdict(list)  # seconds by kind of stage
        self.finished = 0
        self.name = self.stage = ""
        self._stages: list[str] = []
        self._index, self._fraction = -1, 0.0  # of the present stage, of what is done of it
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            *(BarColumn(None), TaskProgressColumn(), TimeElapsedColumn(Column(min_width=7))),
            console=Console(stderr=True, force_terminal=terminal),
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=rows)
        if terminal:
            self._bar.start()

    def begin(self, name: str, stages: Sequence[str]) -> None:
        """Begins a row, with its unfinished stages."""
        self.name, self.stage, self._stages = name, "start", list(stages)
        self._show()

    def enter(self, stage: str) -> None:
        """Begins the next stage of the row."""
        self._leave()
        self._index, self._fraction, self._entered = self._index + 1, 0.0, self.clock()
        self.stage = stage
        if not self._bar.live.is_started:
            self._print(self._description())
        self._show()

    def advance(self, fraction: float) -> None:
        """The fraction of the stage that is done; a stage of several passes begins again."""
        self._fraction = max(self._fraction, fraction)
        self._show()

    def end(self, line: str) -> None:
        """Ends the row, with its result in one line."""
        self._leave()
        self.finished += 1
        self.name, self._stages, self._index, self._fraction = "", [], -1, 0.0
        self._print(line)
        self._show()

    def close(self) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def done(self) -> float:
        """Finished rows, with the fraction of the present one."""
        if self._index < 0 or not self._stages:
            return float(self.finished)
        measured = {kind: fmean(seconds) for kind, seconds in self.durations.items()}
        usual = sum(USUAL[kind] for kind in measured)
        pace = sum(measured.values()) / usual if usual else 1.0
        weights = [measured.get(kind, pace * USUAL[kind]) for kind in self._stages]
        index = min(self._index, len(weights) - 1)
        passed = sum(weights[:index]) + self._fraction * weights[index]
        return self.finished + passed / sum(weights)

    def seconds_left(self) -> float | None:
        """At the pace so far; None before anything is done."""
        done = self.done()
        return (self.clock() - self.started) / done * (self.rows - done) if done else None

    def _leave(self) -> None:
        if self._index >= 0:
            self.durations[self.stage].append(max(self.clock() - self._entered, 1e-6))

    def _description(self) -> str:
        seconds = self.seconds_left()
        left = "" if seconds is None else f"; about {max(1, round(seconds / 60))} min left"
        if not self.name:
            return f"{self.finished} of {self.rows} rows{left}"
        return f"row {self.finished + 1} of {self.rows}, {self.name}: {self.stage}{left}"

    def _print(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        done, description = self.done(), self._description()
        self._bar.update(self._task, completed=done, description=description, refresh=True)
