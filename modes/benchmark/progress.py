"""How far a benchmark is: one bar on a terminal, a line for each stage in a log."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from tqdm import tqdm

# What the stages take beside one another, until one was measured: that of the small default run.
USUAL = {"train": 4.0, "ppl_eval": 2.0, "sample_eval": 1.0}
FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


class Overview:
    """Counts rows, and parts of them by what the stages of earlier rows took."""

    def __init__(self, rows: int, terminal: bool, clock: Callable[[], float] = time.monotonic):
        self.rows, self.clock = rows, clock
        self.started = clock()
        self.took: dict[str, list[float]] = defaultdict(list)  # seconds by kind of stage
        self.finished = 0
        self.name = self.stage = ""
        self._stages: list[str] = []
        self._place, self._part, self._entered = 0, 0.0, self.started
        self._bar = tqdm(total=rows, bar_format=FORMAT, dynamic_ncols=True) if terminal else None

    def begin(self, name: str, stages: Sequence[str]) -> None:
        """A row, with the stages that it has left."""
        self.name, self._stages = name, list(stages)
        self._place, self._part = -1, 0.0
        self.stage = "start"
        self._show()

    def enter(self, stage: str) -> None:
        """The next stage of the row."""
        self._leave()
        self._place, self._part, self._entered = self._place + 1, 0.0, self.clock()
        self.stage = stage
        if self._bar is None:
            self._say(f"{self._where()}{self._remaining()}")
        self._show()

    def advance(self, part: float) -> None:
        """How much of the stage is done, 0 to 1; a stage of several passes begins again."""
        self._part = max(self._part, part)
        self._show()

    def end(self, line: str) -> None:
        """The row is over, as `line` says."""
        self._leave()
        self.finished += 1
        self.name, self._place, self._part, self._stages = "", -1, 0.0, []
        self._say(line)
        self._show()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def done(self) -> float:
        """Rows, with the part of the present one."""
        if self._place < 0 or not self._stages:
            return float(self.finished)
        measured = {kind: fmean(seconds) for kind, seconds in self.took.items()}
        known = sum(USUAL[kind] for kind in measured)
        pace = sum(measured.values()) / known if known else 1.0
        weights = [measured.get(one, pace * USUAL[one]) for one in self._stages]
        place = min(self._place, len(weights) - 1)
        behind = sum(weights[:place]) + self._part * weights[place]
        return self.finished + behind / sum(weights)

    def seconds_left(self) -> float | None:
        """At the pace so far; None before anything is done."""
        done = self.done()
        if not done:
            return None
        return (self.clock() - self.started) / done * (self.rows - done)

    def _leave(self) -> None:
        if self._place >= 0:
            self.took[self.stage].append(max(self.clock() - self._entered, 1e-6))

    def _where(self) -> str:
        if not self.name:
            return f"{self.finished} of {self.rows} rows"
        return f"row {self.finished + 1} of {self.rows}, {self.name}: {self.stage}"

    def _remaining(self) -> str:
        seconds = self.seconds_left()
        return "" if seconds is None else f"; about {max(1, round(seconds / 60))} min left"

    def _say(self, line: str) -> None:
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.write(line, file=sys.stderr)

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.set_description_str(self._where(), refresh=False)
            self._bar.n = self.done()
            self._bar.refresh()
