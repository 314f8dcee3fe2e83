"""Records as entries of a table: one for a recipe with its seeds, one for each in a conflict."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from evaluation import record_schema
from evaluation.records import Record
from leaderboard import labels
from leaderboard.run_key import Settings, changed, run_key
from leaderboard.table import Measure

Defaults = Mapping[str, Settings]  # of each algorithm, by dotted key
# Other machines round and sum in another order; values that differ by more are other results.
SAME = 1e-4


class Entry(NamedTuple):
    """The records of a row: the newest one of each run, oldest first."""

    name: str
    records: list[Record]
    conflict: bool


class Runs:
    """Groups records by recipe and finds those that contradict each other; `defaults` are the
    settings of each algorithm in the configuration."""

    def __init__(self, defaults: Defaults) -> None:
        self.defaults = defaults

    def entries(
        self, records: Sequence[Record], more: Callable[[Record], Any] = lambda record: None
    ) -> list[Entry]:
        """The entries of comparable `records`; `more` tells rows apart beside their recipe."""
        groups = grouped(records, lambda record: [self.recipe(record), more(record)])
        firsts = [group[0] for group in groups]
        settings = [(record.algo, self.changed(record)) for record in firsts]
        names = labels.names(settings, [self.usual(record) for record in firsts])
        named = zip(names, groups, strict=True)
        return [entry for name, group in named for entry in self._split(name, group)]

    def conflicts(self, records: Sequence[Record]) -> list[list[Record]]:
        """The records that claim the same run, protocol, text and seed, and differ in value."""
        claims = map(self._distinct, grouped(records, self._claim))
        return [group for group in claims if len(group) > 1]

    def recipe(self, record: Record) -> str:
        return run_key(record, self.usual(record))

    def changed(self, record: Record) -> dict[str, Any]:
        """The settings of a record that are not its algorithm's defaults."""
        return changed(record.config, self.usual(record))

    def usual(self, record: Record) -> Settings:
        return self.defaults.get(record.algo, {})

    def _split(self, name: str, group: list[Record]) -> list[Entry]:
        """The entries of records with one recipe: one for all but those in conflict."""
        distinct = [self._distinct(claim) for claim in grouped(group, self._claim)]
        agreed = [claim[0] for claim in distinct if len(claim) == 1]
        entries = [Entry(name, by_time(agreed), False)] if agreed else []
        for claim in distinct:
            if len(claim) > 1:
                several = f"{name} [conflict, {len(claim)} records]"
                entries += [Entry(several, [record], True) for record in claim]
        return entries

    def _claim(self, record: Record) -> dict[str, Any]:
        """The identity of a measurement: records with equal ones should agree in value."""
        return {
            "metric": [record.metric, record.count],
            "run": record.checkpoint or self.recipe(record),
            "network": record.network["name"],
            "algo": record.algo,
            "protocol": record.protocol_digest,
            "data": [record.data["name"], record.data["digest"]],
            "seed": record.seed,
        }

    @staticmethod
    def _distinct(claim: list[Record]) -> list[Record]:
        """The newest record of every value, oldest first; `claim` is oldest first."""
        newest: list[Record] = []
        for record in reversed(claim):
            if not any(math.isclose(record.value, other.value, rel_tol=SAME) for other in newest):
                newest.append(record)
        return newest[::-1]


def by_mean(entries: Iterable[Entry], sign: int = 1) -> list[Entry]:
    """Entries, the smallest mean of their values first, or the largest where `sign` is -1; behind
    them those in conflict."""
    return sorted(entries, key=lambda e: (e.conflict, sign * pool_values(e.records).mean))


def by_time(records: Iterable[Record]) -> list[Record]:
    """Records, oldest first."""
    return sorted(records, key=attrgetter("time"))


def grouped(records: Iterable[Record], key: Callable[[Record], Any]) -> list[list[Record]]:
    """Records with equal keys, oldest first; those whose key is None are left out."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in by_time(records):
        if (shared := key(record)) is not None:
            groups[record_schema.digest(shared)].append(record)
    return list(groups.values())


def pool_values(runs: Sequence[Record]) -> Measure:
    """The mean of the runs' values; its error is the larger of what they state and their spread."""
    bound = any(run.kind == "upper bound" for run in runs)
    return pooled([(run.value, run.stderr) for run in runs], is_bound=bound)


def pool_metric(runs: Iterable[Record], name: str) -> Measure | None:
    """The mean of the metric `name` over the runs that have it, None where none has."""
    metrics = [run.metrics for run in runs if run.metrics.get(name) is not None]
    return pooled([(m[name], m.get(f"{name}_stderr")) for m in metrics]) if metrics else None


def pooled(pairs: Sequence[tuple[float, float | None]], is_bound: bool = False) -> Measure:
    """The mean of values with their standard errors, one pair for each run."""
    values = [float(value) for value, _ in pairs]
    errors = [error for _, error in pairs if error is not None]
    stated = math.hypot(*errors) / len(values) if len(errors) == len(values) else None
    if len(values) == 1:
        return Measure(values[0], stated, None, 1, is_bound)
    deviation = statistics.stdev(values)
    stderr = max(stated or 0.0, deviation / math.sqrt(len(values)))
    return Measure(statistics.fmean(values), stderr, deviation, len(values), is_bound)


def mean_trained(runs: Sequence[Record], name: str) -> int | None:
    """The mean of the steps or tokens of training, which only runs given seconds differ in."""
    values = [run.training[name] for run in runs]
    return None if None in values else round(statistics.fmean(values))


def mean_metric(runs: Iterable[Record], name: str) -> float | None:
    """The mean of the metric `name` without an error, None where no run has it."""
    values = [run.metrics.get(name) for run in runs]
    numbers = [float(value) for value in values if value is not None]
    return statistics.fmean(numbers) if numbers else None
