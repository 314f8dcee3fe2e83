"""No record keeps the others from being shown: what cannot be shown is named and set aside."""

import json
import os
from functools import partial
from random import Random

import pytest

from evaluation.records import read_records, write_record
from leaderboard.charts.figures import Figure
from leaderboard.html import page as page_room
from modes import leaderboard
from modes.settings import Settings
from tests.leaderboard import example_results, hostile
from tests.modes import forked

CASES = 40
LOSS = {"value": 0.1, "excess": 0.05, "stderr": 0.01}
NO_RUN = {"steps": None, "tokens": None, "checkpoint_digest": None}
OTHERS = (  # records of the metrics that the example has none of
    {
        "metric": "oracle",
        "kind": "estimate",
        "training": NO_RUN,
        "sampler": {"predictor": "ancestral", "steps": 8, "network_evaluations": 8.0},
        "metrics": {"losses": {"kl_1": LOSS, "tv_2": LOSS}, "foreign": 0.0, "seconds": 2.0},
    },
    {
        "metric": "acc",
        "value": 0.4,
        "kind": "estimate",
        "metrics": {
            "task_metrics": {"acc": [0.4, 0.02], "acc_norm": [0.45, None]},
            "log_likelihoods": {"lead_stderr": 0.1, "undecided": None},
            "answers": "x.jsonl",
        },
    },
)


@pytest.fixture
def goods(tmp_path, make_fields):
    """Good records of several kinds, by file."""
    example_results.write(tmp_path, algos=("ar", "gidd"), seeds=(1,), steps=(8,))
    for changes in OTHERS:
        write_record(tmp_path, make_fields(**changes))
    return {file: json.loads(file.read_text()) for file in sorted(tmp_path.glob("*.json"))}


def case(goods, number):
    """A record of another run that is like a good one but for a field or two."""
    rng = Random(number)
    fields = hostile.another(goods[rng.choice(list(goods))])
    return hostile.changed(fields, rng, rng.choice((1, 1, 2)))


def test_any_field_as_anything(tmp_path, goods, capsys, monkeypatch):
    """With the digest of its contents, which anybody can compute."""
    # Drawings are made of what was accepted, in a process of their own, below.
    for name in ("perplexities", "target", "learning_curves", "frontier", "quality"):
        made = partial(Figure, name, "", "", views=())
        monkeypatch.setattr(page_room, name, lambda rows, *_, made=made: made(rows=rows))
    monkeypatch.setattr(page_room, "library", lambda: "")
    monkeypatch.setattr(leaderboard, "stored", lambda name: {"algo": {"name": name}})
    file, accepted = tmp_path / "hostile.json", 0
    for number in range(CASES):
        hostile.write(file, case(goods, number))
        records, problems = read_records(tmp_path)
        named = [line for line in problems if line.startswith(f"{file}: ")]
        assert len(named) == len(problems) <= 1 and all(len(line) < 500 for line in named)
        assert len(records) == len(goods) + 1 - len(named)
        accepted += not named
        settings = Settings(results_dir=str(tmp_path))
        leaderboard.run(settings, [], lambda overrides: overrides[0].removeprefix("algo="))
        said = capsys.readouterr().err
        assert not named or f"set aside: {named[0]}" in said
        table = (tmp_path / "leaderboard" / "leaderboard.csv").read_text("utf-8")
        assert all(good.name in table for good in goods), number
    assert CASES / 10 < accepted < CASES * 0.9  # both happen


def test_drawings_of_what_is_accepted_beside_what_is_no_record(tmp_path, goods):
    """As a user runs it: the drawing library may end the process."""
    for number in range(CASES):
        file = tmp_path / f"hostile{number}.json"
        hostile.write(file, case(goods, number))
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "curves" / "x.csv").write_text("step\n")
    _, problems = read_records(tmp_path)
    done = forked.run(["mode=leaderboard", f"results_dir={tmp_path}"], tmp_path, os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    aside = [line for line in done.stderr.splitlines() if line.startswith("set aside: ")]
    assert len(aside) == 3
    assert aside[2] == f"set aside: {len(problems) - 2} more; leaderboard.html lists them"
    assert len(done.stderr.splitlines()) <= 9
    board = tmp_path / "leaderboard"
    assert all(good.name in (board / "leaderboard.csv").read_text() for good in goods)
    assert (board / "leaderboard.html").read_text().count("<li>") >= len(problems)
    assert list((board / "charts").glob("*.png"))


@pytest.mark.parametrize("name", ["a\x07", "\ufffe", "\ud800", "x" * 301])
def test_a_name_that_ends_the_drawing_library_is_set_aside(tmp_path, goods, name):
    fields = hostile.another(next(iter(goods.values())))
    hostile.write(tmp_path / "x.json", fields | {"algo": name})
    records, (line,) = read_records(tmp_path)
    assert len(records) == len(goods)
    assert "/x.json: algo=" in line


def test_a_setting_that_cannot_be_shown_is_shown_by_signs(tmp_path, make_fields, algorithm):
    """A prompt may hold anything; a drawing may not."""
    from leaderboard.tables.build import compare

    for place, value in enumerate(("a\x00\x1bb", "c", "d" * 1000)):
        changes = {"config": {"algo": {"x\x07": value}}, "checkpoint": f"c{place}", "seed": place}
        write_record(tmp_path, make_fields(**algorithm("mdlm", 13.0 + place, **changes)))
    records, _ = read_records(tmp_path)
    table = next(one for one in compare(records) if one.kind == "perplexity")
    names = [row.name for row in table.rows]
    assert names[:2] == ["mdlm (algo.x\u2407=a\u2400\u241bb)", "mdlm (algo.x\u2407=c)"]
    assert len(names[2]) < 250
