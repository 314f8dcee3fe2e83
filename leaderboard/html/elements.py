"""Pieces of HTML: escaped text, addresses, tables that a script can sort and filter."""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from evaluation.words import printable

LONG = 28  # letters, of words that may be broken into lines


class Cell(NamedTuple):
    """What a cell says; the number it is sorted by; HTML in place of the words, where there is."""

    words: str
    number: float | None = None
    markup: str | None = None
    best: bool = False


class Line(NamedTuple):
    """A row of a table, with what the filters ask of it."""

    cells: Sequence[Cell]
    algo: str
    corpus: str


def text(words: object) -> str:
    """`words` as HTML that says them, as far as a page can."""
    return html.escape(printable(words))


def address(path: Path, folder: Path) -> str:
    """The relative address of a file, seen from a page in `folder`."""
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return quote(Path(relative).as_posix())


def table(label: str, headers: Sequence[str], lines: Sequence[Line]) -> str:
    """A table in a frame of its own: the first cell of a row names it, columns without anything
    are left out, those with numbers are sorted by them."""
    filled = [
        place for place in range(len(headers)) if any(line.cells[place].words for line in lines)
    ]
    numeric = {
        place for place in filled if any(line.cells[place].number is not None for line in lines)
    }
    heads = "".join(
        f'<th scope="col" aria-sort="none"{_kind(place in numeric)}>'
        f'<button type="button">{text(headers[place])}</button></th>'
        for place in filled
    )
    rows = "\n".join(
        f'<tr data-row="{number}" data-algo="{text(line.algo)}" data-corpus="{text(line.corpus)}">'
        + "".join(_cell(line.cells[place], place == 0, place in numeric) for place in filled)
        + "</tr>"
        for number, line in enumerate(lines)
    )
    return (
        f'<div class="frame" tabindex="0" role="region" aria-label="{text(label)}">\n'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _cell(cell: Cell, first: bool, numeric: bool) -> str:
    name = 'th scope="row"' if first else "td"
    is_long = not numeric and len(cell.words) > LONG
    states = (("words", not numeric), ("long", is_long), ("best", cell.best))
    kinds = [kind for kind, on in states if on]
    attributes = f' class="{" ".join(kinds)}"' if kinds else ""
    if cell.number is not None:
        attributes += f' data-n="{cell.number!r}"'
    inner = text(cell.words) if cell.markup is None else cell.markup
    return f"<{name}{attributes}>{inner}</{name[:2]}>"


def _kind(numeric: bool) -> str:
    return "" if numeric else ' class="words"'


def link(words: object, to: str, record: int) -> str:
    """A link to the file of a record; with scripts, to its fields in this page."""
    return f'<a href="{text(to)}" data-record="{record}">{text(words)}</a>'


def outward(words: object, to: str) -> str:
    """A link that leaves the page."""
    return f'<a href="{text(to)}" rel="external noreferrer">{text(words)}</a>'
