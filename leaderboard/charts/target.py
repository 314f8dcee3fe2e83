"""Times to a track's target as rows of a chart."""

from collections.abc import Callable, Sequence

from evaluation.records import Record
from leaderboard.charts.data import ERRORS, Point
from leaderboard.format import measured_amount
from leaderboard.table import Measure, Table
from leaderboard.tables.time_to_target import KIND

COSTS = {"target_tokens": "tokens", "target_flops": "FLOPs", "target_seconds": "seconds"}


def times(tables: Sequence[Table], href: Callable[[Record], str]) -> list[Point]:
    """A point for every row and cost that is known."""
    points = []
    for table in (table for table in tables if table.kind == KIND):
        for row in table.rows:
            for key, cost in COSTS.items():
                value, first = row.values.get(key), row.records[0]
                if not isinstance(value, Measure):
                    continue
                reach = ERRORS * (value.stderr or 0.0)
                points.append(
                    {
                        "label": row.name,
                        "who": "ours",
                        "about": f"{value.n} run{'s' if value.n > 1 else ''}",
                        "cost": cost,
                        "value": value.mean,
                        "value_low": max(value.mean - reach, 0.0),
                        "value_high": value.mean + reach,
                        "value_text": measured_amount(value),
                        "algo": first.algo,
                        "corpus": first.data["name"],
                        "group": f"{table.title}: {cost}",
                        "href": href(first),
                    }
                )
    return points
