"""Tables that modes print."""

import pytest

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
