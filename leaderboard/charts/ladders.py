"""Rows of the charts with a line for every label: perplexities of ours beside the published ones of
the same text, and times to a track's target."""

from collections.abc import Sequence

from leaderboard.charts.data import ERRORS, Groups, Point
from leaderboard.format import measure, measured_amount
from leaderboard.links import Links
from leaderboard.published.match import same_text
from leaderboard.published.results import Published
from leaderboard.table import Measure, Row, Table
from leaderboard.tables.time_to_target import KIND as TARGET

KIND = "perplexity"  # of the tables, and the key of their first column
COSTS = {"target_tokens": "tokens", "target_flops": "FLOPs", "target_seconds": "seconds"}


def beside_published(
    tables: Sequence[Table], papers: Sequence[Published], links: Links
) -> list[Point]:
    """Every row of every table of perplexities, and the published numbers of the same text with the
    same tokenizer, context and packing."""
    groups, points = Groups(), []
    perplexities = [table for table in tables if table.kind == KIND and any(_own(table))]
    titles = [table.title for table in perplexities]
    for table in perplexities:
        first = table.rows[0].records[0]
        clash = titles.count(table.title) > 1
        words = table.title + (f", protocol {first.protocol_digest}" if clash else "")
        group = {"group": groups.name(words, [table.title, table.caption])}
        points += [_perplexity(row, links) | group for row in _own(table)]
        same = (row for row in papers if _usual(row) and same_text(row, first))
        points += [_theirs(row, first.data["name"]) | group for row in same]
    return points


def _own(table: Table) -> list[Row]:
    """The rows with a perplexity of the model: not those of orders, which are of a sampler."""
    return [row for row in table.rows if row.values[KIND] is not None]


def _usual(row: Published) -> bool:
    """False for a study of how to evaluate and for a number in doubt, which the tables have."""
    return row.doubt is None and all("=" in part for part in (row.variant or "=").split("; "))


def _theirs(row: Published, corpus: str) -> Point:
    variant = f", {row.variant}" if row.variant else ""
    return {
        "label": f"{row.algo}{variant} ({row.arxiv}, {row.location})",
        "who": "published",
        "about": ", ".join(filter(None, [row.model, row.split])),
        "value_text": f"{'≤ ' if row.bound else ''}{row.perplexity:.4g}",
        "value": row.perplexity,
        "value_low": row.perplexity,
        "value_high": row.perplexity,
        "algo": row.algo,
        "corpus": corpus,
        "href": f"https://arxiv.org/abs/{row.arxiv}",
    }


def _perplexity(row: Row, links: Links) -> Point:
    value = row.values[KIND]
    assert isinstance(value, Measure)
    about = f"{_runs(value)}, {row.records[0].network['name']}"
    return _ours(row, value, links) | {"about": about, "value_text": measure(value)}


def _ours(row: Row, value: Measure, links: Links) -> Point:
    first = row.records[0]
    return {
        "label": row.name,
        "who": "ours",
        **_bar(value),
        "algo": first.algo,
        "corpus": first.data["name"],
        "href": links.href(first),
    }


def times(tables: Sequence[Table], links: Links) -> list[Point]:
    """A point for every row and cost that is known."""
    targets = [table for table in tables if table.kind == TARGET]
    return [
        _ours(row, value, links)
        | {"about": _runs(value), "value_text": measured_amount(value), "cost": cost}
        | {"group": f"{table.title}: {cost}"}
        for table in targets
        for row in table.rows
        for key, cost in COSTS.items()
        if isinstance(value := row.values.get(key), Measure)
    ]


def _bar(value: Measure) -> Point:
    """A mean with the ends of its bar, not below 0."""
    reach = ERRORS * (value.stderr or 0.0)
    low, high = max(value.mean - reach, 0.0), value.mean + reach
    return {"value": value.mean, "value_low": low, "value_high": high}


def _runs(value: Measure) -> str:
    return f"{value.n} runs" if value.n > 1 else "1 run"
