"""The tables on a terminal."""

from collections.abc import Sequence

from rich import box, table
from rich.console import JustifyMethod
from rich.text import Text

from leaderboard.tables import Table

# Of the columns of all kinds of tables; those that are not here are never left out.
LEFT_OUT_FIRST = (
    "read in",
    "split",
    "trained on",
    "packed",
    "variant",
    "judge",
    "calls",
    "sampler",
    "steps",
    "params",
    "tokens",
    "MAUVE",
    "told apart",
    "repetition",
    "copied",
    "TV of symbols",
    "TV of pairs",
    "TV of triples",
    "KL of symbols",
    "KL of pairs",
    "KL of triples",
    "seconds",
    "text's distinct-2",
    "text's entropy",
    "training",
    "evaluation",
    "evaluation peak",
    "distinct-2",
    "drawing peak",
    "training peak",
    "text's gen. ppl",
)


def render(tables: Sequence[Table], width: int) -> list[table.Table]:
    """For a terminal of `width` characters. Columns that do not fit are left out, the least telling
    first; the files have them all."""
    return [_rich(one, width) for one in tables]


def _rich(one: Table, width: int) -> table.Table:
    kept, left_out = _fitting(one, width)
    headers, lines = one.headers(), one.cells()
    more = f" A wider terminal also shows: {', '.join(left_out)}." if left_out else ""
    caption = Text(f"{one.sentence} {one.caption}{more}".strip())
    drawn = table.Table(
        title=Text(one.title), caption=caption, box=box.SIMPLE, padding=(0, 1, 0, 0)
    )
    drawn.title_justify = drawn.caption_justify = "left"
    for place in kept:
        justify: JustifyMethod = "left" if place == 0 else "right"
        # Where the terminal is narrow, the first two columns keep their lines, no cell is cut.
        drawn.add_column(headers[place], justify=justify, no_wrap=place < 2, overflow="fold")
    for number, line in enumerate(lines):
        best = number == 0 and one.first_stands_out
        cells = [Text(line[place], "bold" if best and place == 1 else "") for place in kept]
        drawn.add_row(*cells)
    return drawn


def _fitting(one: Table, width: int) -> tuple[list[int], list[str]]:
    """The places of the columns that fit into `width` characters, two between them, and the headers
    of what is left out."""
    headers = one.headers()
    widths = [max(map(len, column)) for column in zip(headers, *one.cells(), strict=True)]
    kept, left_out = list(range(len(headers))), []
    for header in LEFT_OUT_FIRST:
        if 1 + sum(2 + widths[place] for place in kept) <= width:
            break
        if any(headers[place] == header for place in kept[2:]):
            kept = [place for place in kept if place < 2 or headers[place] != header]
            left_out.append(header)
    return kept, left_out
