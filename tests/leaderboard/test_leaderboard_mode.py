"""mode=leaderboard as a user runs it."""

from pathlib import Path

import pytest

from evaluation.records import write_record
from leaderboard.settings import Leaderboard
from modes import leaderboard
from modes.settings import Settings
from tests.modes import commands

ROOT = Path(__file__).resolve().parents[2]


def compose(overrides):
    """Today's configuration."""
    return overrides[0].removeprefix("algo=")


@pytest.fixture(autouse=True)
def own_keys(monkeypatch):
    """Only the algorithm's own keys matter here."""
    monkeypatch.setattr(leaderboard, "stored", lambda name: {"algo": {"name": name, "new": 1}})


@pytest.fixture
def results(tmp_path, make_fields, algorithm):
    """Two folders of records and what lies beside them."""
    one, two = tmp_path / "one", tmp_path / "two"
    write_record(one, make_fields(**algorithm("mdlm", 13.0)))
    write_record(two, make_fields(**algorithm("mdlm", 13.4, config={"algo": {"new": 1}}, seed=2)))
    good = write_record(two, make_fields(**algorithm("ar", 11.0, 0.0, kind="exact")))
    text = good.read_text()
    (one / "edited.json").write_text(text.replace("11.0", "10.0"))
    (one / "half.json").write_text(text[:200])
    (one / "older.json").write_text(text.replace('"schema": 2', '"schema": 1'))
    (one / "list.json").write_text("[]")
    return one, two


def run(*folders, explain=False):
    where = ",".join(map(str, folders))
    settings = Settings(results_dir=where, leaderboard=Leaderboard(explain=explain))
    leaderboard.run(settings, [], compose)


def test_the_rest_is_shown_and_every_bad_file_named(results, capsys):
    run(*results)
    shown, said = capsys.readouterr()
    assert "≤ 13.20 ± 0.20" in shown
    assert "0.28, n = 2" in shown
    first, second, more = said.splitlines()
    assert first.startswith("set aside: ") and "/edited.json: edited: the digest" in first
    assert second.startswith("set aside: ") and "/half.json: not JSON, or half-written" in second
    assert more == "set aside: 2 more; leaderboard.html lists them"
    page = (results[0] / "leaderboard" / "leaderboard.html").read_text("utf-8")
    assert '<details class="block" open><summary>4 lines</summary>' in page
    for name, words in (
        ("edited", "edited: the digest"),
        ("half", "not JSON, or half-written"),
        ("list", "not a record"),
        ("older", "schema=1: of an older version"),
    ):
        assert f"/{name}.json: {words}" in page


def test_the_files_are_replaced_whole_and_nothing_else_is_left(results, capsys):
    folder = results[0] / "leaderboard"
    run(*results)
    first = {file.name: file.read_text("utf-8") for file in folder.glob("leaderboard.*")}
    assert sorted(first) == [f"leaderboard.{one}" for one in ("csv", "html", "md", "tex")]
    assert "| ar | 11.00 |" in first["leaderboard.md"]
    assert "ar & 11.00" in first["leaderboard.tex"]
    assert "13.2" in first["leaderboard.csv"]
    shown = capsys.readouterr().out.replace("\n", "")
    assert all(str(folder / name) in shown for name in first)
    (folder / "leaderboard.md").write_text("stale")
    run(*results)
    again = {file.name: file.read_text("utf-8") for file in folder.glob("*.*")}
    assert again["leaderboard.md"] == first["leaderboard.md"]
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]
    assert not (results[1] / "leaderboard").exists()


def test_explain_adds_the_statistics_and_the_columns(results, capsys):
    said = []
    for explain in (False, True):
        run(*results, explain=explain)
        text = (results[0] / "leaderboard" / "leaderboard.md").read_text("utf-8")
        said.append((" ".join(capsys.readouterr().out.split()), text))
    for short, explained in zip(*said, strict=True):
        for words in ("over AR: perplexity divided by that of AR.", "two standard errors of the"):
            assert words in explained and words not in short


def test_a_pipe_has_every_column(results, capsys):
    run(*results, explain=True)
    shown = " ".join(capsys.readouterr().out.split())
    assert "params" in shown and "A wider terminal" not in shown


def test_two_values_of_one_run_are_noted(results, make_fields, algorithm, capsys):
    write_record(results[0], make_fields(**algorithm("mdlm", 14.0)))
    run(*results)
    shown, said = capsys.readouterr()
    assert "note: mdlm ppl on wikitext103, seed 1, claimed twice: " in said
    assert "conflict, 2 records" in shown


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ("results", ["results"]),
        ("a, b,a", ["a", "b"]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_several_folders(given, paths):
    assert leaderboard.folders(given) == [Path(path) for path in paths]


@pytest.mark.parametrize("given", ["", "a,,b", [], [""]])
def test_no_folder(given):
    with pytest.raises(ValueError, match="results_dir="):
        leaderboard.folders(given)


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_folder_says_what_to_run_first(tmp_path, there):
    folder = tmp_path / "results"
    if there:
        folder.mkdir()
    done = commands.run(["mode=leaderboard", f"results_dir={folder}"], ROOT)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: results_dir={folder}: ")
    assert line.endswith("run python main.py mode=benchmark first")
    assert list(tmp_path.rglob("*")) == [folder][:there]
