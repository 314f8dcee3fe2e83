"""The choice of a table's columns where room is short: files for programs have them all."""

from leaderboard.table import Table


def fitting(table: Table, width: int) -> tuple[list[int], list[str]]:
    """The indices of the columns that fit into `width` characters, two between them, the first ones
    first, and the headers of the others; the first two are always kept."""
    headers = table.headers()
    widths = [max(map(len, column)) for column in zip(headers, *table.cells(), strict=True)]
    kept, used = [0, 1], 1 + sum(widths[:2]) + 4
    for index in range(2, len(headers)):
        if used + widths[index] + 2 <= width:
            kept.append(index)
            used += widths[index] + 2
    return kept, [header for index, header in enumerate(headers) if index not in kept]
