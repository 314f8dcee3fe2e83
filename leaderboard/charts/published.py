"""Perplexities of ours beside what was published for the same text, as rows of a chart."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evaluation.records import Record
from leaderboard.charts.data import ERRORS, Groups, Point
from leaderboard.format import measure
from leaderboard.published.match import dataset_of, metric_of
from leaderboard.published.results import Published
from leaderboard.table import Measure, Row, Table

KIND = "perplexity"  # of the tables, and the key of their first column


def beside_published(
    tables: Sequence[Table], published: Sequence[Published], href: Callable[[Record], str]
) -> list[Point]:
    """Every row of every table of perplexities, and the published results that were measured on
    the same text with the same tokenizer, context and packing."""
    groups, points = Groups(), []
    own = [one for one in tables if one.kind == KIND and one.rows]
    titles = [one.title for one in own]
    for table in own:
        fields = table.rows[0].records[0].fields
        clash = titles.count(table.title) > 1
        words = table.title + (f", protocol {fields['protocol_digest']}" if clash else "")
        group = {"group": groups.name(words, [table.title, table.caption])}
        for row in table.rows:
            value = row.values.get(KIND)
            if isinstance(value, Measure) and row.records:
                points.append(_ours(row, value, href) | group)
        same = (one for one in published if _usual(one) and _same_text(one, fields))
        points += [_theirs(one, fields) | group for one in same]
    return points


def _usual(row: Published) -> bool:
    """Not a study of how to evaluate, nor a number that is in doubt: the tables have those."""
    return row.doubt is None and all("=" in part for part in (row.variant or "=").split("; "))


def _same_text(row: Published, fields: Mapping[str, Any]) -> bool:
    protocol = fields["protocol"]
    packing = {"wrap": True, "pad": False}.get(protocol.get("packing"))
    return (
        row.dataset == dataset_of(fields)
        and row.metric == metric_of(fields)
        and row.context_length == protocol.get("length")
        and row.tokenizer.split()[0] == str(protocol.get("tokenizer")).split("/")[-1]
        and row.packing in (None, packing)
    )


def _theirs(row: Published, fields: Mapping[str, Any]) -> Point:
    value = 2**row.value if row.metric == "bpc" else row.value
    variant = f", {row.variant}" if row.variant else ""
    return {
        "label": f"{row.algo}{variant} ({row.arxiv}, {row.location})",
        "who": "published",
        "about": ", ".join(filter(None, [row.model, row.split])),
        "said": f"{'≤ ' if row.bound else ''}{value:.4g}",
        "value": value,
        "value_low": value,
        "value_high": value,
        "algo": row.algo,
        "corpus": fields["data"]["name"],
        "href": f"https://arxiv.org/abs/{row.arxiv}",
    }


def _ours(row: Row, value: Measure, href: Callable[[Record], str]) -> Point:
    fields = row.records[0].fields
    reach = ERRORS * (value.stderr or 0.0)
    runs = f"{value.n} runs" if value.n > 1 else "1 run"
    return {
        "label": row.name,
        "who": "ours",
        "about": f"{runs}, {fields['network']['name']}",
        "said": measure(value),
        "value": value.mean,
        "value_low": max(value.mean - reach, 0.0),
        "value_high": value.mean + reach,
        "algo": fields["algo"],
        "corpus": fields["data"]["name"],
        "href": href(row.records[0]),
    }
