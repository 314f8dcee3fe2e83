"""The tables on a terminal."""

import textwrap
from collections.abc import Sequence

from rich import box
from rich import table as rich_table
from rich.cells import cell_len
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.text import Text

from leaderboard.table import Table

READABLE = 100  # characters of a line of words
WIDE = 200  # characters of a line in a file or a pipe, where no window has to be fitted
GAP = 2  # characters between two columns
LINES = 3  # of words below a table
MORE = "... leaderboard.explain=true"


def wide_console() -> Console:
    """The terminal, or WIDE characters where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def words_below(note: str, width: int) -> list[str]:
    """A note as lines, the last of them cut where there are more than LINES."""
    lines = textwrap.wrap(note, min(width, READABLE))
    if len(lines) <= LINES:
        return lines
    room = min(width, READABLE) - len(MORE) - 1
    cut = textwrap.shorten(" ".join(lines[LINES - 1 :]), max(room, 1), placeholder="")
    return [*lines[: LINES - 1], f"{cut} {MORE}"]


def render(table: Table, width: int, explain: bool = False) -> Group:
    """A table for a terminal of `width` characters, without the last columns where they do not fit,
    at most LINES lines of words below it; with `explain` all of them, the protocol, the statistics
    and the meaning of the columns."""
    kept, left_out = table.fitting(width)
    headers, lines = table.headers(), table.cells()
    wider = f"A wider terminal also shows: {', '.join(left_out)}" if left_out else ""
    if explain:
        notes = filter(None, [table.note(), table.explanation(), wider])
        below = textwrap.wrap(" ".join(notes), min(width, READABLE))
    else:
        below = words_below(table.note(), width)
    drawn = rich_table.Table(title=Text(table.title), box=box.SIMPLE, padding=(0, 1, 0, 0))
    drawn.title_justify = "left"
    for index in kept:
        justify: JustifyMethod = "left" if index == 0 else "right"
        # Where the terminal is narrow, the first two columns keep their lines, no cell is cut.
        drawn.add_column(headers[index], justify=justify, no_wrap=index < 2, overflow="fold")
    for number, line in enumerate(lines):
        best = number == table.best
        cells = [Text(line[index], "bold" if best and index == 1 else "") for index in kept]
        drawn.add_row(*cells)
    return Group(drawn, Text("\n".join(below)))


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    caption: str = "",
    words: int = 1,
    labels: int = 0,
) -> None:
    """Prints cells as a table; the first `words` columns hold words, the others numbers. A row
    without cells is a line between those above and below it. Columns that a terminal has no room
    for stand below the others, behind the first `labels` (at least the words) once more."""
    console = wide_console()
    labels = max(words, labels)
    parts: list[RenderableType] = [title] if title else []
    for numbers in side_by_side(headers, rows, labels, console.width):
        kept = [*range(labels), *numbers]
        drawn = rich_table.Table(box=box.SIMPLE, padding=(0, GAP - 1, 0, 0), pad_edge=False)
        drawn.show_edge = False
        for index in kept:
            justify: JustifyMethod = "left" if index < words else "right"
            no_wrap = index >= words
            drawn.add_column(headers[index], justify=justify, no_wrap=no_wrap, overflow="fold")
        for row in rows:
            if row:
                drawn.add_row(*(Text(row[index]) for index in kept))
            else:
                drawn.add_section()
        parts += [drawn] if len(parts) <= bool(title) else ["", drawn]
    for part in [*parts, caption] if caption else parts:
        console.print(part, highlight=False, markup=False)


def side_by_side(
    headers: Sequence[str], rows: Sequence[Sequence[str]], labels: int, width: int
) -> list[list[int]]:
    """The columns behind the labels in groups, each of which fits into `width` beside these."""
    lines = [headers, *filter(None, rows)]
    widths = [max(cell_len(line[index]) for line in lines) + GAP for index in range(len(headers))]
    room = width + GAP - sum(widths[:labels])
    groups: list[list[int]] = [[]]
    for index in range(labels, len(headers)):
        if groups[-1] and sum(widths[i] for i in [*groups[-1], index]) > room:
            groups.append([])
        groups[-1].append(index)
    return groups
