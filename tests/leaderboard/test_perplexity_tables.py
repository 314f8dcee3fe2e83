import io
import math
import re
import statistics
import textwrap

import pytest
from rich.console import Console

from leaderboard.export import terminal
from leaderboard.export.markdown import markdown
from leaderboard.table import Measure
from leaderboard.tables.build import compare


def perplexities(records):
    return [table for table in compare(records) if table.kind == "perplexity"]


def render(records, width):
    return [terminal.render(table, width) for table in perplexities(records)]


def lines(records):
    text = markdown(perplexities(records))
    return [line for line in text.splitlines() if line.startswith("| ")]


def cell(line, records, column):
    header, *_ = lines(records)
    return line.split(" | ")[header.split(" | ").index(column)]


def test_rows_are_sorted_and_only_bounds_have_the_sign(board, algorithm):
    records = board(
        algorithm("mdlm", 14.0),
        algorithm("ar", 11.0, 0.0, kind="exact"),
        algorithm("gidd", 13.0),
    )
    (table,) = perplexities(records)
    assert [row.name for row in table.rows] == ["ar", "gidd", "mdlm"]
    ar, gidd, _ = lines(records)[2:]
    assert ar.startswith("| ar | 11.00 | ")
    assert gidd.startswith("| gidd | **≤ 13.000 ± 0.010** | 1 | ≤ 1.182x | ")


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": {"length": 512}},
        {"protocol": {"bos": False}},
        {"data": {"name": "lm1b"}},
        {"data": {"digest": "e" * 64}},
        {"data": {"tokenizer": "bert"}},
    ],
)
def test_other_protocols_and_texts_never_share_a_table(board, algorithm, other):
    records = board(algorithm("mdlm", 14.0), algorithm("gidd", 13.0, **other))
    assert [len(table.rows) for table in perplexities(records)] == [1, 1]
    assert len(render(records, 200)) == 2


def test_title_and_caption_say_what_was_measured(board, algorithm):
    protocol = {"crop": None, "drop_last": False, "tokenizer_digest": "0123456789abcdef"}
    (table,) = perplexities(board(algorithm("mdlm", 14.0, protocol=protocol)))
    assert table.title == "wikitext103: perplexity, length 1024, tokenizer gpt2"
    digest, _, words = table.caption.partition(": ")
    assert digest.startswith("Protocol ")
    assert words == (
        "bos, crop none, no drop last, packing wrap, time range 0.001 to 1, "
        "tokenizer digest 0123456789ab."
    )


@pytest.mark.parametrize(
    ("values", "errors", "bold"),
    [
        ((12.0, 12.3), (0.1, 0.1), True),  # 0.3 > 2 sqrt(0.02) = 0.283
        ((12.0, 12.28), (0.1, 0.1), False),
        ((12.0, 12.3, 12.5), (0.1, 0.1, 0.3), False),  # the third may be as good as the first
        ((12.0, 12.3), (0.1, None), False),
        ((12.0,), (0.1,), False),
    ],
)
def test_bold_only_beyond_two_standard_errors(board, algorithm, values, errors, bold):
    rows = [algorithm(f"a{n}", *pair) for n, pair in enumerate(zip(values, errors, strict=True))]
    records = board(*rows)
    assert perplexities(records)[0].best == (0 if bold else None)
    assert [("**" in line) for line in lines(records)[2:]] == [bold, *[False] * (len(rows) - 1)]


def test_seeds_become_mean_deviation_and_n(board, algorithm):
    values = [12.0, 12.6, 12.3]
    records = board(
        *(
            algorithm("mdlm", v, seed=s, checkpoint=f"c{s}", config={"seed": s, "eval": {"x": s}})
            for s, v in enumerate(values)
        )
    )
    (table,) = perplexities(records)
    (row,) = table.rows
    assert row.values["perplexity"].mean == pytest.approx(12.3)
    assert row.values["perplexity"].deviation == pytest.approx(statistics.stdev(values))
    assert row.values["perplexity"].stderr == pytest.approx(statistics.stdev(values) / math.sqrt(3))
    assert row.values["perplexity"].n == 3
    assert "| ≤ 12.30 ± 0.17 | 1 | ≤ 0.990 | 0.30, n = 3 |" in lines(records)[2]


def test_the_error_of_a_mean_is_not_below_what_the_runs_state(board, algorithm):
    records = board(*(algorithm("mdlm", 12.0, 0.2, seed=s, checkpoint=f"c{s}") for s in range(4)))
    pooled = perplexities(records)[0].rows[0].values["perplexity"]
    assert (pooled.deviation, pooled.stderr) == (0.0, pytest.approx(0.1))


def test_of_identical_reruns_the_newest_counts(board, algorithm):
    early = {"created": "2026-01-30T10:00:00+00:00", "stderr": 0.3}
    late = {"created": "2026-02-01T10:00:00.5+00:00", "stderr": 0.2}
    records = board(
        algorithm("mdlm", 13.0002, **late), algorithm("mdlm", 13.0, **early), algorithm("mdlm", 13)
    )
    for order in (records, records[::-1]):
        (row,) = perplexities(order)[0].rows
        assert row.values["perplexity"] == Measure(13.0002, 0.2, None, 1, True)
        assert not row.conflict


def test_configurations_of_one_algorithm_are_told_apart(board, algorithm):
    rates = [
        algorithm("gidd", 13.0 + p, checkpoint=f"p{p}", config={"algo": {"p_uniform": p}})
        for p in (0.0, 0.1)
    ]
    records = board(*rates, algorithm("ar", 11.0))
    assert [row.name for row in perplexities(records)[0].rows] == [
        "ar",
        "gidd (algo.p_uniform=0.0)",
        "gidd (algo.p_uniform=0.1)",
    ]


def test_other_budgets_are_other_rows(board, algorithm):
    longer = {"training": {"steps": 2000}}
    records = board(algorithm("mdlm", 13.0), algorithm("mdlm", 12.0, checkpoint="c2", **longer))
    assert [row.values["training_steps"] for row in perplexities(records)[0].rows] == [2000, 1000]


def test_over_ar_is_the_ratio_with_its_error(board, algorithm):
    records = board(
        algorithm("mdlm", 15.0, 0.3), algorithm("ar", 10.0, 0.1, kind="exact"), algorithm("duo", 20)
    )
    ar, mdlm, duo = (row.values["over_ar"] for row in perplexities(records)[0].rows)
    assert ar is None
    assert (mdlm.mean, duo.mean, mdlm.is_bound) == (1.5, 2.0, True)
    assert mdlm.stderr == pytest.approx(1.5 * math.hypot(0.02, 0.01))
    assert cell(lines(records)[3], records, "over AR") == "≤ 1.500x"


def test_over_ar_is_of_the_ar_with_as_many_tokens(board, algorithm):
    def run(name, value, tokens):
        return algorithm(name, value, checkpoint=f"{name}{tokens}", training={"tokens": tokens})

    two = [run("ar", 10.0, 100), run("ar", 8.0, 200), run("mdlm", 16.0, 200)]
    rows = perplexities(board(*two, run("duo", 20.0, 300)))[0].rows
    ratios = {row.name: row.values["over_ar"] for row in rows}
    assert ratios["mdlm"].mean == 2.0 and ratios["duo"] is None


def below(drawn):
    """The words below a table of a terminal."""
    return " ".join(str(drawn.renderables[1]).split())


def test_words_below_a_table_are_at_most_three_lines_and_say_where_the_rest_is():
    long = " ".join(f"word{n}" for n in range(100))
    lines = terminal.words_below(long, 60)
    assert len(lines) == 3 and all(len(line) <= 60 for line in lines)
    assert lines[2].endswith(" ... leaderboard.explain=true")
    assert long.startswith(" ".join(lines).removesuffix(f" {terminal.MORE}"))
    assert terminal.words_below("few words", 60) == ["few words"]


def test_note_is_at_most_three_lines_of_a_terminal(board, algorithm):
    rows = [algorithm(f"algorithm{n}", 10.0 + n / 100, 0.02 * (n % 3)) for n in range(9)]
    for several in (rows[:1], rows[:2], rows[:3], rows):
        (table,) = perplexities(board(*several, algorithm("ar", 9.0, kind="exact")))
        assert len(textwrap.wrap(table.note(), 80)) <= 3


def test_explanation_has_protocol_statistics_and_columns(board, algorithm):
    records = board(algorithm("mdlm", 13.0), algorithm("ar", 11.0, 0.0, kind="exact"))
    short, whole = (
        below(terminal.render(perplexities(records)[0], 200, explain)) for explain in (False, True)
    )
    assert (
        short
        == "The difference is real (unpaired; one seed each). ≤ upper bound, ± standard error."
    )
    assert whole.startswith(short)
    for words in ("Protocol ", "two standard errors", "over AR: perplexity divided by that of AR."):
        assert words in whole and (words in markdown(perplexities(records), explain=True))
    assert "over AR: " not in markdown(perplexities(records))


def test_columns_without_anything_are_left_out(board, algorithm):
    records = board(algorithm("mdlm", 13.0, metrics={"train_seconds": None, "bits_per_byte": None}))
    assert lines(records)[0] == "| algorithm | perplexity | rank | tokens | params | steps |"
    assert lines(records)[2].endswith("| 262.1M | 169.6M | 1,000 |")


def test_the_terminal_shows_what_markdown_shows(board, algorithm, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    records = board(algorithm("[red]mdlm", 13.0), algorithm("a|r", 11.0, 0.0, kind="exact"))
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system="standard")
    console.print(*render(records, console.width))
    shown = console.file.getvalue()
    for text in ("wikitext103: perplexity", "[red]mdlm", "≤ 13.000 ± 0.010", "1 h 2 min", "a|r"):
        assert text in shown
    assert re.search(r"\x1b\[1m *11\.00", shown)
    assert not re.search(r"\x1b\[1m *≤ 13", shown)
    assert "| a\\|r | **11.00** | 1 | 0.990 |" in markdown(perplexities(records))


def test_nothing_to_show_says_what_to_run():
    with pytest.raises(ValueError, match=r"python main\.py mode=benchmark"):
        compare([])


def test_a_narrow_terminal_cuts_columns_not_cells(board, algorithm):
    records = board(algorithm("mdlm", 13.0), algorithm("ar", 11.0, 0.0, kind="exact"))
    console = Console(file=io.StringIO(), width=60)
    console.print(*render(records, console.width))
    shown = console.file.getvalue()
    assert "≤ 13.000 ± 0.010" in shown
    assert "169.6M" not in shown
    (explained,) = [terminal.render(table, 60, explain=True) for table in perplexities(records)]
    assert "A wider terminal also shows: " in below(explained)
    assert all(len(line.rstrip()) <= 60 for line in shown.splitlines())
