"""The tables in Markdown."""

from collections.abc import Sequence

from leaderboard.table import Table


def markdown(tables: Sequence[Table], explain: bool = False) -> str:
    """Each table, its note and protocol below; `explain` adds statistics and columns' meanings."""
    return "\n".join(_markdown(table, explain) for table in tables)


def _markdown(table: Table, explain: bool) -> str:
    headers, lines = table.headers(), [[_escaped(cell) for cell in line] for line in table.cells()]
    if table.best is not None:
        lines[table.best][1] = f"**{lines[table.best][1]}**"
    rule = ["---", *["---:"] * (len(headers) - 1)]
    rows = [f"| {' | '.join(line)} |" for line in [list(map(_escaped, headers)), rule, *lines]]
    notes = table.note(), table.explanation() if explain else table.caption
    parts = [f"### {_escaped(table.title)}", "\n".join(rows), *map(_escaped, notes)]
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    for sign in ("\\", "|", "*", "<", "`", "[", "]"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
