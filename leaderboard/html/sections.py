"""The sections of the page, top to bottom."""

from collections.abc import Sequence
from typing import NamedTuple

from evaluation import record_schema
from leaderboard.charts.figures import Figure
from leaderboard.html.elements import text
from leaderboard.html.figures import figure_html
from leaderboard.html.links import Book
from leaderboard.html.published import published_tables
from leaderboard.html.samples import samples
from leaderboard.html.tables import record_table, result_table
from leaderboard.published.results import Published
from leaderboard.table import Table

PAPERS = "published"  # the kind of the tables that begin with a paper's number
SAMPLED = ("samples", "corrected_samples")  # metrics of records with texts


class Section(NamedTuple):
    key: str
    title: str
    body: str

    def markup(self) -> str:
        return (
            f'<section id="{self.key}" aria-labelledby="{self.key}-title">\n'
            f'<h2 id="{self.key}-title">{self.title}</h2>\n{self.body}\n</section>'
        )


def summary(book: Book) -> str:
    newest = max((record_schema.moment(one.fields) for one in book.records), default=None)
    day = "" if newest is None else f", the newest of {newest:%Y-%m-%d}"
    return f"{len(book.records):,} records{day}. Every number leads to the record it is from."


def texts(book: Book) -> tuple[str, list[str]]:
    """The samples to read, and why others cannot be."""
    return samples(
        [
            (book.number(one), one, book.file(one))
            for one in book.records
            if one.fields["metric"] in SAMPLED
        ]
    )


def sections(
    book: Book,
    tables: Sequence[Table],
    figures: Sequence[Figure],
    published: Sequence[Published],
    texts: str,
    problems: Sequence[str],
) -> list[Section]:
    """All that have something to say."""
    results = "\n".join(result_table(one, book.link) for one in tables if one.kind != PAPERS)
    papers = "\n".join(result_table(one, book.link) for one in tables if one.kind == PAPERS)
    charts = "\n".join(figure_html(one) for one in figures)
    made = [
        Section("results", "Results", results),
        Section("charts", "Charts", charts),
        Section("published", "Published results", _published(papers, published)),
        Section("samples", "Samples to read", texts),
        Section("records", "All records", _block(record_table(book.records, book.link))),
        Section("aside", "Set aside", _problems(problems)),
    ]
    return [one for one in made if one.body]


def _published(beside: str, rows: Sequence[Published]) -> str:
    if not rows:
        return beside
    return (
        f"{beside}\n<h3>All of them</h3>\n<p>As the papers print them: data, budgets and "
        f"protocols differ from row to row, so this is no ranking.</p>\n{published_tables(rows)}"
    )


def _block(body: str) -> str:
    return f'<div class="block">\n{body}\n</div>'


def _problems(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "\n".join(f"<li>{text(line)}</li>" for line in lines)
    return (
        "<p>These are not in the tables above, or not whole; each line says why.</p>\n"
        f'<ul class="aside">\n{items}\n</ul>'
    )
