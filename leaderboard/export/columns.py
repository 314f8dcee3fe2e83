"""Which columns of a table fit where it is read: files that are read by programs have them all."""

from leaderboard.table import Table

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
    "two-sample acc.",
    "repetition",
    "train overlap",
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


def fitting(one: Table, width: int) -> tuple[list[int], list[str]]:
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
