"""The tables in Markdown."""

from collections.abc import Sequence

from leaderboard.table import Table


def markdown(tables: Sequence[Table], explain: bool = False) -> str:
    """Each table under its title, its note and protocol below, with `explain` the statistics and
    the meaning of the columns too."""
    return "\n".join(_markdown(one, explain) for one in tables)


def _markdown(one: Table, explain: bool) -> str:
    headers, lines = one.headers(), [[_escaped(cell) for cell in line] for line in one.cells()]
    if one.best is not None:
        lines[one.best][1] = f"**{lines[one.best][1]}**"
    rule = ["---", *["---:"] * (len(headers) - 1)]
    rows = [f"| {' | '.join(line)} |" for line in [list(map(_escaped, headers)), rule, *lines]]
    below = [_escaped(one.note()), "", _escaped(one.explanation() if explain else one.caption)]
    return "\n".join([f"### {_escaped(one.title)}", "", *rows, "", *below, ""])


def _escaped(text: str) -> str:
    for sign in ("\\", "|", "*", "<", "`", "[", "]"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
