"""The same tables as Markdown, LaTeX and CSV."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from evaluation.words import printable
from leaderboard import format
from leaderboard.export.csv_files import csv_text
from leaderboard.export.latex import ROWS, escaped, latex
from leaderboard.export.markdown import markdown
from leaderboard.table import Column, Measure, Row, Table, number
from leaderboard.tables.build import compare

ODD = r"a_b|c & 50% #1 {x} $2 ~ ^ \ <i> *"


@pytest.fixture
def odd():
    columns = (
        Column("perplexity", "perplexity", format.measure, "per token"),
        Column("time", "training_time", format.duration, unit="s"),
        Column("sampler", "sampler", format.words),
    )
    rows = (
        Row(ODD, {"perplexity": Measure(1 / 3, 0.01, 0.25, 3, True), "training_time": 0.1}),
        Row("[b]", {"sampler": "psi, eta\n2"}),
    )
    return Table("perplexity", ODD, "caption 5%", columns, rows, "All_real.", best=0)


def test_latex_is_escaped_and_rectangular(odd):
    text = latex([odd, odd])
    body = text.split("\\midrule")[1].split("\\bottomrule")[0].strip().splitlines()
    unescaped = re.compile(r"(?<!\\)&")
    assert [len(unescaped.split(line)) for line in body] == [4, 4]
    assert body[0].startswith(
        r"a\_b|c \& 50\% \#1 \{x\} \$2 \textasciitilde{} \textasciicircum{} "
        r"\textbackslash{} \textless{}i\textgreater{} *"
    )
    assert r"\textbf{$\le$ 0.333 $\pm$ 0.010}" in body[0]
    assert body[1].startswith("{[}b]")
    assert "≤" not in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert [f"tab:perplexity-{n}" in text for n in (1, 2, 3)] == [True, True, False]
    assert "caption 5\\%" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 2


def test_latex_braces_are_balanced(odd):
    text = re.sub(r"\\[{}]", "", latex([odd]))
    assert text.count("{") == text.count("}")


def test_every_special_sign_is_escaped():
    made = escaped(r'&%$#_{}~^\<>"')
    assert re.sub(r"\\[&%$#_{}]|\\text[a-z]+\{\}", "", made) == "''"


def test_latex_leaves_out_what_no_page_has_room_for_and_says_so(odd):
    more = [Column(name, "sampler", lambda _: 40 * "x") for name in ("calls", "of text", "steps")]
    text = latex([replace(odd, columns=(*odd.columns, *more))])
    left_out = text.split("% Left out, in leaderboard.csv: ")[1].splitlines()[0]
    assert left_out == "calls, of text, steps."
    assert r"\begin{tabular}{lrrr}" in text and "sampler" in text


def test_latex_of_more_rows_than_a_page_is_several_floats(odd):
    rows = tuple(replace(odd.rows[1], name=f"row {place}") for place in range(80))
    text = latex([replace(odd, rows=rows)])
    assert re.findall(r"^row \d+", text, re.MULTILINE) == [f"row {place}" for place in range(80)]
    labels = [f"\\label{{tab:perplexity-1-{part}}}" for part in (1, 2, 3)]
    assert re.findall(r"\\label\{.*\}", text) == labels
    assert text.count("textbf") == 1 and text.count("caption 5") == 1
    assert text.index("caption 5") > text.index(labels[2])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_a_compiler_takes_it_in_the_default_encoding(odd, tmp_path):
    noted = replace(odd, sentence=f'"{ODD}"', caption=150 * "a word ")
    text = latex([noted, replace(noted, rows=ROWS * odd.rows)])  # two full pages
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}"
    (tmp_path / "page.tex").write_text(f"{head}\n{text}\n\\end{{document}}")
    line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "Float too large" not in done.stdout


def test_markdown_cells_are_escaped(odd):
    lines = markdown([odd]).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert [len(re.split(r"(?<!\\)\|", line)) for line in table] == [6, 6, 6, 6]
    assert "**≤ 0.333 ± 0.010**" in table[2]
    assert "psi, eta 2" in table[3]
    assert "\\<i> \\*" in table[2]
    said = "≤ upper bound, ± standard error, bold: really better than all others ranked."
    assert f"All_real. {said}" in lines


def test_csv_keeps_every_digit_and_names_units(odd):
    (first, second) = csv.DictReader(io.StringIO(csv_text([odd])))
    assert float(first["perplexity"]) == 1 / 3
    assert first["perplexity_stderr"] == "0.01"
    assert (first["perplexity_deviation"], first["perplexity_n"]) == ("0.25", "3")
    assert first["perplexity_is_bound"] == "yes"
    assert first["training_time [s]"] == "0.1"
    assert first["algorithm"] == ODD
    assert second["perplexity"] == ""
    assert second["sampler"] == "psi, eta\n2"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t=", "\r=", "\uff1d", "\n+"])
def test_no_text_of_the_csv_is_a_formula(odd, sign):
    """Of a spreadsheet that opens it; numbers stay numbers."""
    formula = f"{sign}HYPERLINK(A1)"
    column = Column("x", formula, format.measure)
    row = Row(formula, {formula: Measure(-0.5, 0.1), "sampler": formula, "training_time": -2.5})
    text = csv_text([replace(odd, title=formula, rows=(row,), columns=(*odd.columns, column))])
    (header, values) = csv.reader(io.StringIO(text, newline=""))
    numbers = {"-0.5", "-2.5"}
    for cell in {*header, *values} - numbers:
        assert not cell.startswith(tuple("=+-@\uff1d\t\r\n")), cell
    assert numbers <= set(values)
    said = printable(formula)
    assert [cell for cell in header if cell.endswith("(A1)")] == values[1:2]
    assert sum(cell.removeprefix("'") == said for cell in values) == 3


def test_markdown_has_no_links_of_records(odd):
    """Nor pictures, which a reader would ask the network for."""
    row = Row("![x](http://a.b) [y](c)", {})
    made = markdown([replace(odd, rows=(row,))])
    assert r"!\[x\](http://a.b) \[y\](c)" in made


def test_latex_rows_begin_with_no_option_of_the_row_above():
    assert escaped("* x") == "{*} x"
    assert escaped("[x]") == "{[}x]"
    assert escaped("a\u2400\ufffd *") == "a?? *"


def test_csv_of_records_is_the_records(board, algorithm, sample):
    records = board(algorithm("mdlm", 13.123456789012345), sample("mdlm", 5.1))
    tables = compare(records)
    rows = list(csv.DictReader(io.StringIO(csv_text(tables))))
    assert len(rows) == sum(len(table.rows) for table in tables)
    by_kind = {row["table"]: row for row in rows if row["records"]}
    assert float(by_kind["perplexity"]["perplexity"]) == 13.123456789012345
    assert float(by_kind["samples"]["entropy [nats]"]) == 5.1
    assert float(by_kind["cost"]["evaluation_peak_memory [bytes]"]) == 1 << 30
    for row in rows:
        assert all(name in [one.path.name for one in records] for name in row["records"].split())


def test_what_columns_are_sorted_by():
    values = (Measure(2.0, None), 3, 0.5, "word", None)
    assert [number(value) for value in values] == [2.0, 3, 0.5, None, None]


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (format.measure(Measure(12.3456, 0.0)), "12.35"),
        (format.measure(Measure(12.3456, None, is_bound=True)), "≤ 12.35"),
        (format.measure(Measure(0.1234, None)), "0.123"),
        (format.measure(Measure(12.3456, 0.0123)), "12.346 ± 0.012"),
        (format.measure(Measure(1234.5, 99.0)), "1234 ± 99"),
        (format.measure(Measure(1.0, 1e-9)), "1.0000000000 ± 0.0000000010"),
        (format.measure(Measure(4011.6483, 6.2e3)), "4000 ± 6200"),
        (format.bound(Measure(3.4829, 0.1, is_bound=True)), "≤ 3.48"),
        (format.bound(Measure(3.4829, 0.001, is_bound=True)), "≤ 3.483"),
        (format.seeds(Measure(1.0, 0.1, 0.25, 3)), "0.25, n = 3"),
        (format.seeds(Measure(1.0, 0.1)), ""),
        (format.amount(169_600_000), "169.6M"),
        (format.amount(12.0), "12"),
        (format.evaluations(1024.0), "1,024"),
        (format.evaluations(12.25), "12.25"),
        (format.factor(Measure(1.3654, 0.01, is_bound=True)), "≤ 1.365x"),
        (format.stated(Measure(23.2, None, is_bound=True)), "≤ 23.2"),
        (format.stated(5.41), "5.41"),
        (format.size(598_609_920), "599 MB"),
        (format.size(24e9), "24 GB"),
        (format.duration(59.4), "59 s"),
        (format.duration(3720), "1 h 2 min"),
        (format.percent(-0.0123), "-1.2%"),
    ],
)
def test_numbers_as_text(shown, words):
    assert shown == words
