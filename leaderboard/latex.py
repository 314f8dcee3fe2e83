"""The tables in LaTeX, in the style of booktabs."""

import re
from collections.abc import Sequence

from leaderboard.fitting import fitting
from leaderboard.tables import Table

WIDTH = 90  # characters, of which a page of one column takes some 80 without being scaled
PREAMBLE = "% In the preamble: \\usepackage{booktabs,graphicx}\n"
SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "≤": r"$\le$",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex(tables: Sequence[Table]) -> str:
    """All of them as floats whose labels are tab:1, tab:2 and so on behind their kind."""
    kinds = [one.kind for one in tables]
    numbers = [kinds[: place + 1].count(kind) for place, kind in enumerate(kinds)]
    parts = [_latex(one, number) for one, number in zip(tables, numbers, strict=True)]
    return "\n".join([PREAMBLE, *parts])


def _latex(one: Table, number: int) -> str:
    kept, left_out = fitting(one, WIDTH)
    headers, *lines = (
        [escaped(cells[place]) for place in kept] for cells in [one.headers(), *one.cells()]
    )
    if one.first_stands_out:
        lines[0][1] = f"\\textbf{{{lines[0][1]}}}"
    notes = " ".join(filter(None, [one.sentence, one.caption]))
    return "\n".join(
        [
            *([f"% Left out, in leaderboard.csv: {', '.join(left_out)}."] if left_out else []),
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{escaped(one.title)}.}}",
            f"\\label{{tab:{one.kind}-{number}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            f"\\begin{{tabular}}{{l{'r' * (len(kept) - 1)}}}",
            r"\toprule",
            _row(headers),
            r"\midrule",
            *map(_row, lines),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\par\smallskip",
            f"\\parbox{{\\linewidth}}{{\\footnotesize {escaped(notes)}}}",
            r"\end{table}",
            "",
        ]
    )


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def escaped(text: str) -> str:
    """Plain text as LaTeX shows it; a square bracket at the start of a row is no option of it."""
    words = " ".join(text.split())
    made = "".join(SIGNS.get(sign, sign) for sign in words)
    return re.sub(r"^\[", "{[}", made)
