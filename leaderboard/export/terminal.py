"""The tables on a terminal."""

from collections.abc import Sequence

from rich import box, table
from rich.console import JustifyMethod
from rich.text import Text

from leaderboard.export.columns import fitting
from leaderboard.table import Table


def render(tables: Sequence[Table], width: int, explain: bool = False) -> list[table.Table]:
    """Tables for a terminal of `width` characters, without the last columns where they do not fit;
    with `explain` the protocol, the statistics and the meaning of the columns below."""
    return [_rich(one, width, explain) for one in tables]


def _rich(one: Table, width: int, explain: bool) -> table.Table:
    kept, left_out = fitting(one, width)
    headers, lines = one.headers(), one.cells()
    wider = f"A wider terminal also shows: {', '.join(left_out)}." if left_out else ""
    notes = [one.note(), *([one.explanation(), wider] if explain else [])]
    drawn = table.Table(
        title=Text(one.title),
        caption=Text(" ".join(filter(None, notes))),
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    drawn.title_justify = drawn.caption_justify = "left"
    for index in kept:
        justify: JustifyMethod = "left" if index == 0 else "right"
        # Where the terminal is narrow, the first two columns keep their lines, no cell is cut.
        drawn.add_column(headers[index], justify=justify, no_wrap=index < 2, overflow="fold")
    for number, line in enumerate(lines):
        best = number == one.best
        cells = [Text(line[index], "bold" if best and index == 1 else "") for index in kept]
        drawn.add_row(*cells)
    return drawn
