"""A sweep: the frontier, the table and the pictures."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modes.sample_eval.sweep_plot import on_frontier, picture, show


def row(gen_ppl: float | None, entropy: float, error: float | None = 0.0, **swept: Any) -> dict:
    return swept | {
        "gen_ppl": gen_ppl,
        "gen_ppl_stderr": error,
        "entropy": entropy,
        "entropy_stderr": error and error / 100,
        "distinct_2": 0.5,
        "network_evaluations": 32.0,
        "seconds": 1.25,
    }


def test_on_frontier_is_what_no_row_beats_beyond_the_errors() -> None:
    exact = [row(10, 4.0), row(20, 5.0), row(21, 5.0), row(20, 4.9), row(9, 3.0), row(30, 3.0)]
    assert on_frontier(exact) == [True, True, False, False, True, False]
    # 22 against 20 with errors of 1 each is no difference: two of its errors are 2.8.
    close = [row(20, 5.0, error=1.0), row(22, 5.0, error=1.0), row(23, 5.0, error=1.0)]
    assert on_frontier(close) == [True, True, False]
    unknown = [row(20, 5.0, error=None), row(21, 5.0, error=None)]
    assert on_frontier(unknown) == [True, False]


def test_table_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(10.5, 4, 0.25, temperature=0.8), row(111, 3.9, 0.25, temperature=None)]
    show(rows, reference=5.4321)
    lines = capsys.readouterr().out.splitlines()
    headers = ["temperature", "gen. ppl", "entropy", "distinct-2", "calls", "seconds"]
    assert re.split(r" {2,}", lines[0].strip()) == headers
    assert lines[2].split("  ")[0] == "*" and lines[3].startswith(" ")
    assert "10.50 ± 0.25" in lines[2] and "none" in lines[3] and "111.00 ± 0.25" in lines[3]
    assert "held-out text" in lines[4] and "5.432" in lines[4]
    assert "2 standard errors" in " ".join(lines)

    show([row(None, 4.0, None, steps=8)])
    alone = capsys.readouterr().out
    assert "gen. ppl" not in alone and "*" not in alone
    assert "eval.gen_ppl_eval_model_name_or_path names no scorer" in alone


def specification(page: Path) -> dict:
    """The drawing that an HTML page of altair holds."""
    found = re.search(r"spec = (\{.*\});\n", page.read_text("utf-8"))
    assert found is not None
    return json.loads(found[1])


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., tuple[list[Path], dict]]:
    pytest.importorskip("altair", reason="the package altair is missing")
    pytest.importorskip("vl_convert", reason="the package vl-convert-python is missing")

    def draw(rows: list[dict], **more: Any) -> tuple[list[Path], dict]:
        files = picture(rows, tmp_path / "new", "frontier", **more)
        return files, specification(files[-1])

    return draw


def test_picture_of_every_kind(drawn: Callable) -> None:
    rows = [
        row(10.0 * steps / heat, 4 + heat, 1.0, temperature=heat, steps=steps, top_k=top)
        for heat in (0.8, 0.9, 1.0)
        for steps in (1, 2)
        for top in (None, 40)
    ]
    files, spec = drawn(rows, reference=5.0)
    assert [file.suffix for file in files] == [".png", ".svg", ".html"]
    assert sorted(files[0].parent.iterdir()) == sorted(files)
    assert files[0].read_bytes().startswith(b"\x89PNG")
    for words in ("generative perplexity", "entropy, nats", "temperature", "steps", "held-out"):
        assert words in files[1].read_text("utf-8")
    assert "<script src" not in files[2].read_text("utf-8")
    values = next(one["data"]["values"] for one in spec["layer"] if "data" in one)
    assert [one["gen_ppl"] for one in values] == [one["gen_ppl"] for one in rows]
    assert values[0]["gen_ppl_high"] - values[0]["gen_ppl_low"] == pytest.approx(
        4.0
    )  # two errors on either side


def test_picture_without_a_scorer_has_distinct_2(drawn: Callable) -> None:
    files, _ = drawn([row(None, 4.0, None, steps=8), row(None, 5.0, None, steps=9)])
    svg = files[1].read_text("utf-8")
    assert "distinct-2 against entropy" in svg and "perplexity" not in svg


def test_picture_leaves_infinite_perplexities_out(
    drawn: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(math.inf, 4.0, math.nan, steps=8), row(9.0, 4.0, 0.1, steps=9)]
    files, _ = drawn(rows)
    assert files[0].stat().st_size > 0
    show(rows)
    assert "inf" in capsys.readouterr().out


def test_picture_never_overwrites_another(drawn: Callable) -> None:
    rows = [row(10.5, 4.0, 0.25, steps=8), row(9.5, 4.0, 0.25, steps=16)]
    first, _ = drawn(rows)
    before = [file.read_bytes() for file in first]
    second, _ = drawn(rows[:1])
    assert [file.read_bytes() for file in first] == before
    assert sorted(first[0].parent.iterdir()) == sorted([*first, *second])


def test_table_rounds_numbers_to_their_errors(capsys: pytest.CaptureFixture[str]) -> None:
    show([row(4011.6483, 4.0, 6200.0, steps=8)])
    said = capsys.readouterr().out
    assert "4000 ± 6200" in said and "4011" not in said
