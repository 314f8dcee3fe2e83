"""Records as entries of a table: one for each recipe with all its seeds, one for each record that
contradicts another."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from evaluation import record_schema
from evaluation.records import Record
from leaderboard import labels
from leaderboard.run_key import Settings, chosen, recipe
from leaderboard.table import Measure

Defaults = Mapping[str, Settings]  # of each algorithm, by dotted key
# Other machines round and sum in another order; what differs by more is another result.
SAME = 1e-4


class Entry(NamedTuple):
    """What becomes a row: the newest record of each run, in order of time."""

    name: str
    records: list[Record]
    conflict: bool


class Runs:
    """All records of one command, with what tells their recipes and their claims apart."""

    def __init__(self, defaults: Defaults) -> None:
        self.defaults = defaults

    def entries(
        self, records: Sequence[Record], more: Callable[[Record], Any] = lambda record: None
    ) -> list[Entry]:
        """Of the comparable `records` of one table; `more` is what tells rows apart beside the
        recipe, as a sampler does."""
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in by_time(records):
            groups[record_schema.digest([self.recipe(record), more(record)])].append(record)
        firsts = [group[0].fields for group in groups.values()]
        usual = [self.usual(fields) for fields in firsts]
        settings = [(f["algo"], chosen(f, d)) for f, d in zip(firsts, usual, strict=True)]
        names = labels.names(settings, usual)
        found = zip(names, groups.values(), strict=True)
        return [entry for name, group in found for entry in self._split(name, group)]

    def conflicts(self, records: Sequence[Record]) -> list[list[Record]]:
        """The records that claim the same run, protocol, text and seed, and differ in value."""
        claims: dict[str, list[Record]] = defaultdict(list)
        for record in by_time(records):
            claims[self._claim(record)].append(record)
        distinct = (self._distinct(group) for group in claims.values())
        return [group for group in distinct if len(group) > 1]

    def recipe(self, record: Record) -> str:
        return recipe(record.fields, self.usual(record.fields))

    def usual(self, fields: Settings) -> Settings:
        return self.defaults.get(fields["algo"], {})

    def _split(self, name: str, group: list[Record]) -> list[Entry]:
        """`group` has one recipe: its runs together, but for those that contradict themselves."""
        claims: dict[str, list[Record]] = defaultdict(list)
        for record in group:
            claims[self._claim(record)].append(record)
        distinct = [self._distinct(claim) for claim in claims.values()]
        agreed = [claim[0] for claim in distinct if len(claim) == 1]
        entries = [Entry(name, by_time(agreed), False)] if agreed else []
        for claim in distinct:
            if len(claim) > 1:
                several = f"{name} [conflict, {len(claim)} records]"
                entries += [Entry(several, [record], True) for record in claim]
        return entries

    def _claim(self, record: Record) -> str:
        """What two records with the same one say that they measured."""
        fields = record.fields
        checkpoint = fields["training"]["checkpoint_digest"]
        return record_schema.digest(
            {
                "metric": [fields["metric"], fields["count"]],
                "run": checkpoint or self.recipe(record),
                "network": fields["network"]["name"],
                "algo": fields["algo"],
                "protocol": fields["protocol_digest"],
                "data": [fields["data"]["name"], fields["data"]["digest"]],
                "seed": fields["seed"],
            }
        )

    @staticmethod
    def _distinct(claim: list[Record]) -> list[Record]:
        """The newest record of every value, in order of time; `claim` is in order of time."""
        newest: list[Record] = []
        for record in reversed(claim):
            value = record.fields["value"]
            if not any(math.isclose(value, one.fields["value"], rel_tol=SAME) for one in newest):
                newest.append(record)
        return newest[::-1]


def by_time(records: Iterable[Record]) -> list[Record]:
    """Oldest first."""
    return sorted(records, key=lambda record: record_schema.moment(record.fields))


def pool(runs: Sequence[Record]) -> Measure:
    """Mean over runs of their value; its error is the larger of what the runs state and how they
    differ."""
    pairs = [(run.fields["value"], run.fields["stderr"]) for run in runs]
    bound = any(run.fields["kind"] == "upper bound" for run in runs)
    return pooled(pairs, is_bound=bound)


def pool_also(runs: Iterable[Record], name: str) -> Measure | None:
    """The same of what the records say beside their value under `name`; None where none does."""
    said = [run.fields["metrics"] for run in runs if run.fields["metrics"].get(name) is not None]
    return pooled([(one[name], one.get(f"{name}_stderr")) for one in said]) if said else None


def pooled(pairs: Sequence[tuple[float, float | None]], is_bound: bool = False) -> Measure:
    """Of values with their standard errors, one of each run."""
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
    known = [run.fields["training"][name] for run in runs]
    return None if None in known else round(statistics.fmean(known))


def mean_also(runs: Iterable[Record], name: str) -> float | None:
    """The mean of what the records say beside their value; None where none does."""
    values = [run.fields["metrics"].get(name) for run in runs]
    known = [float(value) for value in values if value is not None]
    return statistics.fmean(known) if known else None
