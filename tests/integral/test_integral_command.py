import re
import sys

import pytest
import torch

from integral import cache
from integral.__main__ import main
from tests.integral.reference import quadrature


def refused(capsys, *arguments):
    """The line on the error stream of a command that ends with status 2."""
    try:
        status = main(list(arguments))
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert status == 2 and printed.out == ""
    assert len(printed.err.splitlines()) == 1
    return printed.err


def test_the_table_holds_the_operator(capsys, tmp_path):
    arguments = ["--vocab-size", "30", "--gamma-min", "-3", "--gamma-max", "2", "--points", "6"]
    assert main([*arguments, "--cache-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = torch.tensor([[float(word) for word in line.split()] for line in lines[1:7]]).double()
    gamma = torch.linspace(-3, 2, 6, dtype=torch.float64)
    keep, slope = quadrature(gamma, 30)
    expected = torch.stack([gamma, torch.sqrt(torch.sigmoid(-gamma)), keep, slope], 1)
    torch.testing.assert_close(rows, expected, rtol=2e-6, atol=0)
    assert any(f"computed, kept in {tmp_path}" in line for line in lines)


def test_the_plot_falls_from_the_upper_left_to_the_lower_right(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "shipped with the suite" in out
    marks = [line.split("|")[1] for line in out.splitlines() if "|" in line]
    places = [[at for at, mark in enumerate(line) if mark == "*"] for line in marks]
    flat = [at for line in places for at in line]
    assert flat == list(range(64))  # one mark a column, and every level right of the one above


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--vocab-size", "1"], "vocab_size=1"),
        (["--gamma-min", "1", "--gamma-max", "0"], "min < max"),
        (["--gamma-min", "-3", "--gamma-max", "-3"], "min < max"),
        (["--gamma-min", "-9"], "-8 <= min"),
        (["--gamma-max", "nan"], "--gamma-max nan"),
        (["--points", "1"], "--points 1"),
        (["--points", "many"], "--points"),
        (["--plot", "alpha.gif"], "must end in .pdf, .png, .svg"),
        (["--colour"], "--colour"),
    ],
)
def test_bad_input_ends_in_one_line(arguments, said, capsys):
    assert said in refused(capsys, *arguments)


def test_a_picture_needs_matplotlib(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install matplotlib" in refused(capsys, "--plot", str(tmp_path / "alpha.png"))


@pytest.mark.parametrize(
    "suffix, magic", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_picture_is_of_the_kind_of_its_suffix(suffix, magic, capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is optional")
    path = tmp_path / f"alpha.{suffix}"
    assert main(["--plot", str(path)]) == 0
    assert f"picture: {path}" in capsys.readouterr().out
    assert path.read_bytes().startswith(magic)
    assert "No such file" in refused(capsys, "--plot", str(tmp_path / "no" / f"a.{suffix}"))


def test_the_shipped_tables_are_written_by_the_command(capsys, monkeypatch, tmp_path):
    shipped = {path.name: path.read_bytes() for path in cache.SHIPPED_FOLDER.iterdir()}
    monkeypatch.setattr(cache, "SHIPPED_FOLDER", tmp_path)
    assert main(["--write-tables"]) == 0
    written = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert written == {name: len(content) for name, content in shipped.items()}
    assert len(re.findall(r"\.npy \(\d+ bytes\)", capsys.readouterr().out)) == len(cache.SHIPPED)
