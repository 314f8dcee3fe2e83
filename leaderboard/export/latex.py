"""The tables in LaTeX, in the style of booktabs."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from leaderboard.table import Table

WIDTH = 90  # characters, of which a page of one column takes some 80 without being scaled
ROWS = 30  # of a page, with the notes below
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
NO_LETTER = re.compile("[\u2400-\u2421\ufffd]")  # stands for a sign that cannot be shown


def latex(tables: Sequence[Table], explain: bool = False) -> str:
    """Floats with the labels tab:KIND-1, tab:KIND-2 and so on; a table that is longer than a page
    as several, -1, -2 and so on behind that. `explain` as of Markdown."""
    kinds: Counter[str] = Counter()
    parts: list[str] = []
    for table in tables:
        kinds[table.kind] += 1
        parts += _floats(table, kinds[table.kind], explain)
    return "\n".join([PREAMBLE, *parts])


def _floats(table: Table, number: int, explain: bool) -> Iterator[str]:
    kept, left_out = table.fitting(WIDTH)
    if left_out:
        yield f"% Left out, in leaderboard.csv: {', '.join(left_out)}."
    headers, *lines = (
        [escaped(cells[index]) for index in kept] for cells in [table.headers(), *table.cells()]
    )
    if table.best is not None:
        lines[table.best][1] = f"\\textbf{{{lines[table.best][1]}}}"
    title, label = escaped(table.title), f"tab:{table.kind}-{number}"
    notes = escaped(f"{table.note()} {table.explanation() if explain else table.caption}")
    pages = [lines[first : first + ROWS] for first in range(0, len(lines), ROWS)]
    for page, part in enumerate(pages, 1):
        if len(pages) == 1:
            yield _float(title, label, headers, part, notes)
        else:
            below = notes if page == len(pages) else "Continued on the next page."
            of = f"{title}, part {page} of {len(pages)}"
            yield _float(of, f"{label}-{page}", headers, part, below)


def _float(title: str, label: str, headers: list[str], lines: list[list[str]], notes: str) -> str:
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{title}.}}",
            f"\\label{{{label}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            f"\\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}",
            r"\toprule",
            _row(headers),
            r"\midrule",
            *map(_row, lines),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\par\smallskip",
            f"\\parbox{{\\linewidth}}{{\\footnotesize {notes}}}",
            r"\end{table}",
            "",
        ]
    )


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def escaped(text: str) -> str:
    """Plain text in LaTeX; a bracket or a star that begins a row is no option of the one above."""
    words = NO_LETTER.sub("?", " ".join(text.split()))
    signs = "".join(SIGNS.get(sign, sign) for sign in words)
    return re.sub(r"^[\[*]", lambda match: f"{{{match[0]}}}", signs)
