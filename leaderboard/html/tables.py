"""The tables of the page as grids of cells: results with links to records, and the records."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evaluation.records import Record
from evaluation.rounding import figures, fixed, places_of
from leaderboard.charts.data import ERRORS
from leaderboard.format import seeds
from leaderboard.links import Link, Links
from leaderboard.published.results import titles
from leaderboard.table import BASELINE, Column, Measure, Row, Table, Value, number, shown

LONG = 28  # characters of a text that may be broken into lines
SAME = 3  # rows from which on a column of equal values is a line below the table


class Bar(NamedTuple):
    """A number and two standard errors around it, in per cent of the largest of its column."""

    low: float
    value: float
    high: float


class Cell(NamedTuple):
    """The text of a cell, or the links in its place; the number that it is sorted by."""

    text: str
    number: float | None = None
    links: Sequence[Link] = ()
    bar: Bar | None = None
    kind: str = ""


class Line(NamedTuple):
    """A row of a grid with the values that the filters compare."""

    cells: Sequence[Cell]
    algo: str
    corpus: str


class Header(NamedTuple):
    text: str
    about: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of the page; columns without any text are left out."""

    label: str
    headers: Sequence[Header]
    lines: Sequence[Line]
    same: str = ""  # the columns whose values are all equal

    def columns(self) -> list[tuple[int, Header, bool]]:
        """Index, header and whether it is sorted by number of every column that is shown."""
        return [
            (index, header, any(line.cells[index].number is not None for line in self.lines))
            for index, header in enumerate(self.headers)
            if any(line.cells[index].text for line in self.lines)
        ]

    @staticmethod
    def classes(cell: Cell, is_numeric: bool) -> str:
        states = {"words": not is_numeric, "long": not is_numeric and len(cell.text) > LONG}
        return " ".join([name for name, on in states.items() if on] + [cell.kind]).strip()


def result_grid(table: Table, links: Links, sampled: Sequence[Record]) -> Grid:
    """A table of results; `sampled` are the records whose texts the page has."""
    words, same, kept = table.cells(), [], []
    for index, column in enumerate(table.columns):
        texts = {line[index + 1] for line in words}
        if index and len(words) >= SAME and len(texts) == 1:
            same.append(f"{column.name} {texts.pop()}")
        else:
            kept.append(column)
    bars, corpus, lines = _bars(table), table.title.partition(":")[0], []
    for index, row in enumerate(table.rows):
        first, *rest = (_cell(row, column) for column in kept)  # the first column of all is kept
        first = first._replace(bar=bars.get(index), kind="best" if index == table.best else "")
        own = row.records[0] if row.records else None
        kinds = {"conflict": row.conflict, "baseline": own and own.algo == BASELINE}
        name = Cell(row.name, kind=" ".join(kind for kind, on in kinds.items() if on))
        cells = [name, first, *rest, _record_links(row.records, links, sampled)]
        about = (own.algo, own.data["name"]) if own else (row.name, corpus)
        lines.append(Line(cells, *about))
    headers = [Header("algorithm"), *(Header(column.name, column.about) for column in kept)]
    headers.append(Header("records", "their fields by seed, and the texts of samples"))
    return Grid(table.title, headers, lines, f"In all rows: {', '.join(same)}." if same else "")


def _bars(table: Table) -> Mapping[int, Bar]:
    """A bar for each row's first number, where errors are known and no number is negative."""
    values = [row.values.get(table.columns[0].key) for row in table.rows]
    measures = {row: value for row, value in enumerate(values) if isinstance(value, Measure)}
    reach = {row: ERRORS * (value.stderr or 0.0) for row, value in measures.items()}
    top = max((value.mean + reach[row] for row, value in measures.items()), default=0.0)
    has_errors = any(value.stderr is not None for value in measures.values())
    if not has_errors or top <= 0 or any(value.mean < 0 for value in measures.values()):
        return {}

    def bar(*ends: float) -> Bar:
        return Bar(*(round(100 * max(end, 0.0) / top, 2) for end in ends))

    return {
        row: bar(value.mean - reach[row], value.mean, value.mean + reach[row])
        for row, value in measures.items()
    }


def _cell(row: Row, column: Column) -> Cell:
    text, value = shown(row, column), row.values.get(column.key)
    if column.show is seeds and isinstance(value, Measure):
        return Cell(text, value.deviation)
    arxiv = re.search(r"arXiv (\d{4}\.\d{4,5})", text) if column.key == "source" else None
    if arxiv is None:
        return Cell(text, number(value))
    title, href = titles().get(arxiv[1], ""), f"https://arxiv.org/abs/{arxiv[1]}"
    return Cell(text, links=[Link(text, href, outward=True, title=title)])


def _record_links(records: Sequence[Record], links: Links, sampled: Sequence[Record]) -> Cell:
    """A link for each seed of each metric, and one to texts of the records or their checkpoints."""
    metrics: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.seed):
        metrics.setdefault(record.metric, []).append(record)
    seeds = [
        links.link(f"{metric} {record.seed}" if record is group[0] else record.seed, record)
        for metric, group in metrics.items()
        for record in group
    ]
    paths = {record.path for record in records}
    checkpoints = {record.checkpoint for record in records} - {None}
    texts = [record for record in sampled if record.path in paths]
    texts += [record for record in sampled if record.checkpoint in checkpoints]
    read = [Link("texts", f"#samples-{links.number(texts[0])}")] if texts else []
    return Cell("seeds" if seeds else "", links=[*seeds, *read])


def record_grid(links: Links) -> Grid:
    """Every record, newest first."""
    headers = ["record", "metric", "corpus", "value", "±", "kind", "seed", "sampler steps"]
    headers += ["evaluated in s", "created"]
    newest = sorted(links.records, key=lambda record: record.time, reverse=True)
    lines = [_record_line(record, links) for record in newest]
    return Grid("All records", [Header(header) for header in headers], lines)


def _record_line(record: Record, links: Links) -> Line:
    sign = "≤ " if record.kind == "upper bound" else ""
    decimals = places_of(record.stderr, 4)
    value = fixed(record.value, decimals) if record.stderr else f"{record.value:.5g}"
    cells = [
        Cell(record.algo, links=[links.link(record.algo, record)]),
        Cell(record.metric),
        Cell(record.data["name"]),
        Cell(sign + value, float(record.value)),
        _number(record.stderr, None if record.stderr is None else figures(record.stderr)),
        Cell(record.kind),
        _number(record.seed),
        _number(record.steps),
        _number(record.wall_time_s, f"{record.wall_time_s:.1f}"),
        Cell(f"{record.time:%Y-%m-%d %H:%M}"),
    ]
    return Line(cells, record.algo, record.data["name"])


def _number(value: Value, text: str | None = None) -> Cell:
    return Cell("") if value is None else Cell(text or str(value), number(value))
