"""The tables on a terminal."""

import textwrap
from collections.abc import Sequence

from rich import box
from rich import table as rich_table
from rich.console import Console, Group, JustifyMethod
from rich.text import Text

from leaderboard.table import Table

READABLE = 100  # characters of a line of words
WIDE = 200  # characters of a line in a file or a pipe, where no window has to be fitted
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
    wider = f"A wider terminal also shows: {', '.join(left_out)}." if left_out else ""
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
) -> None:
    """Prints cells as a table; the first `words` columns hold words, the others numbers. A row
    without cells is a line between those above and below it."""
    drawn = rich_table.Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for position, header in enumerate(headers):
        justify: JustifyMethod = "left" if position < words else "right"
        drawn.add_column(header, justify=justify, no_wrap=position >= words, overflow="fold")
    for row in rows:
        if row:
            drawn.add_row(*map(Text, row))
        else:
            drawn.add_section()
    console = wide_console()
    for part in filter(None, (title, drawn, caption)):
        console.print(part, highlight=False, markup=False)
