"""The tables of the page: results with links to their records, and the records themselves."""

import re
from collections.abc import Callable, Sequence

from evaluation import record_schema
from evaluation.records import Record
from evaluation.rounding import figures, fixed, places_of
from leaderboard.format import seeds
from leaderboard.html.elements import Cell, Line, outward, table, text
from leaderboard.table import Column, Measure, Row, Table, number, shown

Link = Callable[[object, Record], str]


def result_table(one: Table, link: Link) -> str:
    """A table of results in a block that a filter can hide, its sentence and its protocol below."""
    headers = [*one.headers(), "records"]
    lines = [
        _line(one, row, link, best=one.first_stands_out and place == 0)
        for place, row in enumerate(one.rows)
    ]
    sentence = f"<p>{text(one.sentence)}</p>\n" if one.sentence else ""
    return (
        f'<div class="block" data-words="{text(one.title)}">\n<h3>{text(one.title)}</h3>\n'
        f"{table(one.title, headers, lines)}\n"
        f'{sentence}<p class="quiet">{text(one.caption)}</p>\n</div>'
    )


def _line(one: Table, row: Row, link: Link, best: bool) -> Line:
    name = Cell(row.name)
    if row.conflict:
        name = Cell(row.name, markup=f'<span class="conflict">{text(row.name)}</span>')
    cells = [_cell(row, column, best and place == 0) for place, column in enumerate(one.columns)]
    links = Cell("seeds" if row.records else "", markup=_links(row.records, link))
    if not row.records:  # a paper's: its table is of the text that its title begins with
        return Line([name, *cells, links], row.name, one.title.partition(":")[0])
    fields = row.records[0].fields
    return Line([name, *cells, links], fields["algo"], fields["data"]["name"])


def _cell(row: Row, column: Column, best: bool) -> Cell:
    words, value = shown(row, column), row.values.get(column.key)
    if column.show is seeds and isinstance(value, Measure):
        return Cell(words, value.deviation, best=best)
    arxiv = re.search(r"arXiv (\d{4}\.\d{4,5})", words) if column.key == "source" else None
    if arxiv:
        return Cell(words, markup=outward(words, f"https://arxiv.org/abs/{arxiv[1]}"))
    return Cell(words, number(value), best=best)


def _links(records: Sequence[Record], link: Link) -> str:
    """The seeds of the records, by metric."""
    metrics: dict[str, list[Record]] = {}
    for record in records:
        metrics.setdefault(record.fields["metric"], []).append(record)
    return "; ".join(
        f"{text(metric)}: seed "
        + ", ".join(link(one.fields["seed"], one) for one in sorted(own, key=_seed))
        for metric, own in metrics.items()
    )


def _seed(record: Record) -> int:
    return int(record.fields["seed"])


def record_table(records: Sequence[Record], link: Link) -> str:
    """Every record, newest first."""
    headers = ["record", "metric", "corpus", "value", "±", "kind", "seed", "sampler steps"]
    headers += ["evaluated in s", "created"]
    newest = sorted(records, key=lambda one: record_schema.moment(one.fields), reverse=True)
    return table("All records", headers, [_record_line(one, link) for one in newest])


def _record_line(record: Record, link: Link) -> Line:
    fields = record.fields
    steps = (fields["sampler"] or {}).get("steps")
    sign, error = "≤ " if fields["kind"] == "upper bound" else "", fields["stderr"]
    cells = [
        Cell(fields["algo"], markup=link(fields["algo"], record)),
        Cell(fields["metric"]),
        Cell(fields["data"]["name"]),
        Cell(sign + _rounded(fields["value"], fields["stderr"]), float(fields["value"])),
        Cell("") if error is None else Cell(figures(error), float(error)),
        Cell(fields["kind"]),
        _number(fields["seed"], "d"),
        _number(steps, "d"),
        _number(fields["wall_time_s"], ".1f"),
        Cell(f"{record_schema.moment(fields):%Y-%m-%d %H:%M}"),
    ]
    return Line(cells, fields["algo"], fields["data"]["name"])


def _rounded(value: float, error: float | None) -> str:
    return fixed(value, places_of(error, 4)) if error else f"{value:.5g}"


def _number(value: float | None, digits: str = ".5g") -> Cell:
    return Cell("") if value is None else Cell(f"{value:{digits}}", float(value))
