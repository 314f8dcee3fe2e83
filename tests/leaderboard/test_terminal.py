"""Tables that modes print."""

import pytest
from rich.console import Console

from leaderboard.export import terminal
from leaderboard.export.terminal import WIDE, print_table


def test_print_table_shows_cells_as_they_are_and_is_wide_in_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    headers = ["name", *map(str, range(10))]
    rows = [["[red]a", *["1.25 ± 0.03*"] * 10], [], ["b", *["-"] * 10]]
    print_table(headers, rows, title="A [title]", caption="A caption.")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "A [title]" and lines[-1] == "A caption."
    assert all(80 < len(line) <= WIDE for line in lines if "±" in line or "─" in line)
    (row,) = [line for line in lines if line.startswith("[red]a")]
    assert row.count("1.25 ± 0.03*") == 10
    assert any(line.startswith("b ") for line in lines)


def test_print_table_cuts_no_cell_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "wide_console", lambda: Console(width=80))
    headers = ["sampler", "steps", *(f"loss {n}" for n in range(7))]
    rows = [["mdlm ancestral", str(n), *(f"{n}.123 ± 0.04{i}" for i in range(7))] for n in (4, 16)]
    print_table(headers, [rows[0], [], rows[1]], caption="A caption.", labels=2)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    for row in rows:
        shown = [line for line in lines if line.split()[:3] == [*row[0].split(), row[1]]]
        assert len(shown) == 3  # each block says which row it is
        assert all(sum(cell in line for line in shown) == 1 for cell in row[2:])
    assert lines[-1] == "A caption."
