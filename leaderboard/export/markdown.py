"""The tables in Markdown."""

from collections.abc import Sequence

from leaderboard.table import Table


def markdown(tables: Sequence[Table]) -> str:
    """All of them, each under its title, its sentence and caption below."""
    return "\n".join(_markdown(one) for one in tables)


def _markdown(one: Table) -> str:
    headers, lines = one.headers(), [[_escaped(cell) for cell in line] for line in one.cells()]
    if one.first_stands_out:
        lines[0][1] = f"**{lines[0][1]}**"
    rule = ["---", *["---:"] * (len(headers) - 1)]
    rows = [f"| {' | '.join(line)} |" for line in [list(map(_escaped, headers)), rule, *lines]]
    below = [_escaped(one.sentence), "", _escaped(one.caption)]
    return "\n".join([f"### {_escaped(one.title)}", "", *rows, "", *below, ""])


def _escaped(text: str) -> str:
    for sign in ("\\", "|", "*", "<", "`", "[", "]"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
