"""The key that repetitions of a run share."""

import pytest

from leaderboard.run_key import changed, flat
from leaderboard.tables.build import compare

TODAY = {
    "gidd": flat(
        {
            "algo": {"name": "gidd", "p_uniform": 0.1, "new": 3},
            "optim": {"lr": 3e-4, "decay": None},
            "loader": {"batch_size": None},
            "seed": 1,
        }
    )
}


def names(records, defaults=TODAY):
    (table,) = [one for one in compare(records, defaults) if one.kind == "perplexity"]
    return [row.name for row in table.rows]


def test_a_record_from_before_a_key_is_the_same_recipe(board, algorithm):
    records = board(
        algorithm("gidd", 13.0, checkpoint="a"),
        algorithm("gidd", 13.1, checkpoint="b", config={"algo": {"new": 3}}),
        algorithm("gidd", 13.2, checkpoint="c", config={"optim": {"decay": None}}),
        algorithm("gidd", 13.3, checkpoint="d", config={"unheard_of": None}),
    )
    (table,) = [one for one in compare(records, TODAY) if one.kind == "perplexity"]
    assert [row.values["perplexity"].n for row in table.rows] == [4]
    assert len(names(records, {})) == 2  # without today's defaults, `new` is another recipe


@pytest.mark.parametrize(
    "other",
    [
        {"algo": {"new": 4}},
        {"algo": {"new": None}},  # said to be none, where 3 is usual
        {"optim": {"lr": 1e-3}},
        {"unheard_of": 2},
    ],
)
def test_another_value_is_another_recipe(board, algorithm, other):
    records = board(
        algorithm("gidd", 13.0, checkpoint="a"),
        algorithm("gidd", 13.1, checkpoint="b", config=other),
    )
    assert len(names(records)) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"eval": {"passes": 8}},
        {"benchmark": {"algos": ["ar"]}},
        {"loader": {"batch_size": 4, "num_workers": 2}},
        {"trainer": {"devices": 8, "accelerator": "gpu"}},
        {"data": {"cache_dir": "elsewhere"}},
        {"callbacks": {}},
        {"training": {"finetune_path": "outputs/seed2"}},
        {"strategy": {"name": "ddp"}},
        {"seed": 7},
    ],
)
def test_what_plays_no_part_tells_nothing_apart(board, algorithm, other):
    records = board(
        algorithm("gidd", 13.0, checkpoint="a"),
        algorithm("gidd", 13.1, checkpoint="b", config=other),
    )
    assert names(records) == ["gidd"]


def test_names_say_the_default_of_a_key_that_one_record_does_not_have(board, algorithm):
    records = board(
        algorithm("gidd", 13.0, checkpoint="a"),
        algorithm("gidd", 13.1, checkpoint="b", config={"algo": {"p_uniform": 0.2}}),
    )
    assert names(records) == ["gidd (algo.p_uniform=0.1)", "gidd (algo.p_uniform=0.2)"]


def test_what_a_run_began_with_is_part_of_its_recipe(board, algorithm):
    def begun(run, algo, file):
        origin = {"algo": algo, "steps": 9, "checkpoint": file}
        return algorithm("gidd", 13.0, checkpoint=run, training={"finetuned_from": origin})

    records = board(begun("a", "mdlm", "x"), begun("b", "mdlm", "y"), begun("c", "udlm", "z"))
    assert len(names(records)) == 2


def test_runs_given_seconds_are_repetitions_whatever_steps_they_came_to(board, algorithm):
    def run(steps, seconds):
        config = {"training": {"max_seconds": seconds}}
        training = {"steps": steps, "tokens": steps * 100}
        return algorithm("gidd", 13.0, checkpoint=f"{steps}", training=training, config=config)

    (table,) = [
        one for one in compare(board(run(90, 60), run(101, 60)), TODAY) if one.kind == "perplexity"
    ]
    assert [row.values["training_steps"] for row in table.rows] == [96]
    assert [row.values["training_tokens"] for row in table.rows] == [9550]
    assert len(names(board(run(91, 30), run(102, None), run(103, None)))) == 4


def test_changed_settings_are_those_off_the_default():
    config = {"algo": {"p_uniform": 0.2, "new": 3}, "seed": 5, "mode": "train"}
    assert changed(config, TODAY["gidd"]) == {"algo.p_uniform": 0.2}
