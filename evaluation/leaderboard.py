"""The tables of `evaluation.comparison` on a terminal and as Markdown."""

import math
from collections.abc import Callable, Sequence

from rich import box, table
from rich.console import JustifyMethod
from rich.text import Text

from evaluation.comparison import Pooled, Row, Table, compare
from evaluation.records import Record

LEGEND = (
    "≤ marks an upper bound, ± one standard error; deviation is that between n seeds; bold leads "
    "every other row by more than two standard errors of the difference. Entropy, distinct-2, "
    "sampler and network calls are those of the newest samples of the same checkpoint."
)


def render(records: Sequence[Record], width: int) -> list[table.Table]:
    """One rich table per protocol for a terminal of `width` characters.

    Columns that do not fit are left out, the least telling first; Markdown has them all.
    ValueError without a perplexity in `records`.
    """
    return [_rich(one, width) for one in compare(records)]


def markdown(records: Sequence[Record]) -> str:
    """The same tables in Markdown; ValueError without a perplexity in `records`."""
    return "\n".join(_markdown(one) for one in compare(records))


def _rich(one: Table, width: int) -> table.Table:
    headers, lines, left_out = _fitting(*_cells(one), width)
    more = f" A wider terminal also shows: {', '.join(left_out)}." if left_out else ""
    caption = Text(f"{one.caption} {LEGEND}{more}")
    drawn = table.Table(
        title=Text(one.title), caption=caption, box=box.SIMPLE, padding=(0, 1, 0, 0)
    )
    drawn.title_justify = drawn.caption_justify = "left"
    for place, header in enumerate(headers):
        justify: JustifyMethod = "left" if place == 0 else "right"
        # Where the terminal is narrow, the first two columns keep their lines, no cell is cut.
        drawn.add_column(header, justify=justify, no_wrap=place < 2, overflow="fold")
    for number, line in enumerate(lines):
        best = number == 0 and one.first_stands_out
        drawn.add_row(*(Text(c, "bold" if best and p == 1 else "") for p, c in enumerate(line)))
    return drawn


def _markdown(one: Table) -> str:
    headers, lines = _cells(one)
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    if one.first_stands_out:
        lines[0][1] = f"**{lines[0][1]}**"
    rule = ["---", *["---:"] * (len(headers) - 1)]
    rows = [f"| {' | '.join(line)} |" for line in [headers, rule, *lines]]
    return "\n".join([f"### {one.title}", "", *rows, "", f"{one.caption} {LEGEND}", ""])


def _perplexity(row: Row) -> str:
    return ("≤ " if row.is_bound else "") + _pooled(row.perplexity)


def _pooled(pooled: Pooled | None) -> str:
    """Mean and error to two digits of the error."""
    if pooled is None:
        return ""
    if not pooled.stderr:
        return f"{pooled.mean:.2f}"
    digits = min(max(1 - math.floor(math.log10(pooled.stderr)), 0), 4)
    return f"{pooled.mean:.{digits}f} ± {pooled.stderr:.{digits}f}"


def _seeds(row: Row) -> str:
    if row.perplexity.deviation is None:
        return ""
    return f"{row.perplexity.deviation:.2g}, n = {row.perplexity.n}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _amount(value: float | None) -> str:
    """Four digits and a unit: 169.6M parameters, 262.1B tokens."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value is not None and value >= size:
            return f"{value / size:.4g}{unit}"
    return "" if value is None else f"{value:.4g}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


COLUMNS: dict[str, Callable[[Row], str]] = {
    "algorithm": lambda row: row.name,
    "perplexity": _perplexity,
    "deviation": _seeds,
    "bits/byte": lambda row: _number(row.bits_per_byte),
    "entropy": lambda row: _pooled(row.entropy),
    "of text": lambda row: _number(row.reference_entropy),
    "distinct-2": lambda row: _number(row.distinct_2),
    "sampler": lambda row: row.sampler,
    "calls": lambda row: _amount(row.network_evaluations),
    "params": lambda row: _amount(row.parameters),
    "tokens": lambda row: _amount(row.tokens),
    "steps": lambda row: "" if row.steps is None else f"{row.steps:,}",
    "training": lambda row: _duration(row.train_seconds),
}


LEFT_OUT_FIRST = ("calls", "sampler", "steps", "params", "tokens", "training", "distinct-2")


def _fitting(
    headers: list[str], lines: list[list[str]], width: int
) -> tuple[list[str], list[list[str]], list[str]]:
    """The columns that fit into `width` characters, two between them, and what is left out."""
    columns = {header: [line[at] for line in lines] for at, header in enumerate(headers)}
    left_out = []
    for header in LEFT_OUT_FIRST:
        needed = 1 + sum(2 + max(map(len, [name, *cells])) for name, cells in columns.items())
        if needed > width and header in columns:
            left_out.append(header)
            del columns[header]
    return list(columns), [list(line) for line in zip(*columns.values(), strict=True)], left_out


def _cells(one: Table) -> tuple[list[str], list[list[str]]]:
    """Headers and cells, without the columns that no row has anything for."""
    columns = [(name, [cell(row) for row in one.rows]) for name, cell in COLUMNS.items()]
    filled = [(name, cells) for name, cells in columns if any(cells)]
    lines = [list(line) for line in zip(*(cells for _, cells in filled), strict=True)]
    return [name for name, _ in filled], lines
