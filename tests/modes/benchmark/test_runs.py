"""Rows of a benchmark: which there are, what they may use, what is refused before the first."""

from pathlib import Path

import pytest

from modes.benchmark.runs import Budget, Row, budget, rows
from modes.estimate import flops_per_token, vocabulary
from tests.composed import compose

PLACE = "checkpointing.save_dir=runs/${algo.name}-${seed}"


def made(*overrides: str) -> list[Row]:
    given = ["mode=benchmark", *overrides]
    return rows(compose(given), given, compose)


def test_rows_are_every_algorithm_with_every_seed() -> None:
    found = made("benchmark.algos=[ar,duo_base]", "benchmark.seeds=[3,1]", "seed=7", PLACE)
    assert [row.name for row in found] == ["ar, seed 3", "ar, seed 1"] + [
        f"duo_base, seed {seed}" for seed in (3, 1)
    ]
    assert [row.settings.seed for row in found] == [3, 1, 3, 1]
    assert found[2].folder == "runs/udlm-3"
    assert {row.settings.mode for row in found} == {"train"}
    # Nothing of the benchmark stays in a row, or records of two benchmarks would differ by it.
    assert {str(row.settings.benchmark.seeds) for row in found} == {"None"}


def test_rows_with_one_number_are_that_row() -> None:
    together = made("benchmark.algos=[ar,mdlm]", "benchmark.seeds=[1,2]", "optim.lr=0.1")
    alone = made(
        "benchmark.algos=[ar,mdlm]", "benchmark.seeds=[1,2]", "optim.lr=0.1", "benchmark.row=2"
    )
    assert alone == [together[2]]
    assert alone[0].name == "mdlm, seed 1"


def test_rows_are_scored_by_the_first_one_of_ar() -> None:
    both = ["benchmark.algos=[mdlm,ar]", "benchmark.seeds=[1,2]"]
    found = made(*both)
    assert {row.scorer and row.scorer.name for row in found} == {"ar, seed 1"}
    assert [row.waits for row in found] == [True, True, False, True]
    assert {row.settings.eval.gen_ppl_eval_model_name_or_path for row in found} == {found[2].folder}
    (alone,) = made("benchmark.algos=[mdlm]")
    (unscored,) = made("benchmark.algos=[ar]", "benchmark.scorer=false")
    (another,) = made("benchmark.algos=[ar]", "eval.gen_ppl_eval_model_name_or_path=gpt2")
    assert [row.scorer for row in (alone, unscored, another)] == [None] * 3
    assert another.settings.eval.gen_ppl_eval_model_name_or_path == "gpt2"


def test_rows_keep_keys_of_algorithms_and_recipes() -> None:
    (row,) = made("benchmark.algos=[mdlm]", "algo.loss_type=low_var", "experiment=markov")
    assert row.settings.algo.loss_type == "low_var"
    assert row.settings.trainer.val_check_interval == 500  # as the recipe has it


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        ("300 steps", 300),
        ("2M tokens", 488),  # of 32 x 128 tokens, never more than the budget
        ("4.096ktokens", 1),
    ],
)
def test_budget_sets_the_steps_of_every_row(said: str, steps: int) -> None:
    found = made(f"benchmark.budget={said}", "benchmark.algos=[ar,duo]")
    assert [row.settings.trainer.max_steps for row in found] == [steps, steps]
    assert found[1].settings.algo.max_steps == steps  # the length of DUO's curriculum
    assert found[0].settings.training.max_seconds is None


def test_budget_of_operations_gives_cheaper_algorithms_more_steps() -> None:
    found = made("benchmark.budget=2e13 FLOPs", "benchmark.algos=[ar,udlm,bd3lm]")
    steps = {row.settings.algo.name: row.settings.trainer.max_steps for row in found}
    assert steps["ar"] > steps["udlm"] > steps["bd3lm"]
    for row in found:
        step = 32 * 128 * flops_per_token(row.settings, vocabulary(row.settings.data))
        assert 2e13 - step < row.settings.trainer.max_steps * step <= 2e13


def test_budget_by_default_gives_way_to_a_given_length() -> None:
    (row,) = made("benchmark.algos=[ar]")
    assert row.settings.trainer.max_steps == 800_000 // (32 * 128)
    (row,) = made("benchmark.algos=[ar]", "trainer.max_steps=7")
    assert row.settings.trainer.max_steps == 7
    (row,) = made("benchmark.algos=[ar]", "experiment=markov")
    assert row.settings.trainer.max_steps == 1500
    (row,) = made("benchmark.algos=[ar]", "benchmark.budget=null")
    assert row.settings.trainer.max_steps == 1000


def test_budget_in_seconds_leaves_the_steps_of_schedules() -> None:
    found = made("benchmark.budget=90 seconds", "trainer.max_steps=700", "benchmark.algos=[duo]")
    assert found[0].settings.training.max_seconds == 90
    assert found[0].settings.algo.max_steps == 700


@pytest.mark.parametrize(("steps", "every"), [(1000, 100), (488, 61), (307, 30), (3, 1)])
def test_rows_are_validated_several_times_and_at_their_end(steps: int, every: int) -> None:
    (row,) = made(f"trainer.max_steps={steps}", "benchmark.algos=[ar]")
    assert row.settings.trainer.val_check_interval == every
    (row,) = made("trainer.val_check_interval=7", "benchmark.algos=[ar]")
    assert row.settings.trainer.val_check_interval == 7
    assert row.settings.trainer.limit_val_batches == 20


def test_budget_of_every_unit() -> None:
    assert budget(None) is None
    assert budget("1.5B tokens") == Budget(1.5e9, "tokens")
    assert budget("0.5 seconds") == Budget(0.5, "seconds")
    assert budget("2e15 FLOPs") == budget("2000000B FLOPs") == Budget(2e15, "FLOPs")


REFUSED = {
    "benchmark.budget='300'": r"benchmark.budget=300: a positive number, .* such as \"2M tokens\"",
    "benchmark.budget=two steps": r"benchmark.budget=two steps: a positive",
    "benchmark.budget=0 steps": r"benchmark.budget=0 steps: a positive",
    "benchmark.budget=2m tokens": r"benchmark.budget=2m tokens: a positive",
    "benchmark.budget=5 minutes": r"benchmark.budget=5 minutes: a positive",
    "benchmark.budget=100 tokens": r"benchmark.budget=100 tokens: not one step of 4,096 tokens",
    "benchmark.budget=1e999 tokens": r"benchmark.budget=1e999 tokens: a positive number",
    "benchmark.budget=5 FLOPs": r"benchmark.budget=5 FLOPs: not one step of .*e\+.* FLOPs",
    "benchmark.budget=0.5 steps": r"benchmark.budget=0.5 steps: not one step",
    "benchmark.budget=5 steps trainer.max_steps=9": r"and trainer.max_steps; give one of them",
    "benchmark.seeds=[1,x]": r"benchmark.seeds=\[1, 'x'\]: must be a list of numbers of at least 0",
    "benchmark.seeds=[-1]": r"benchmark.seeds=\[-1\]: must be a list of numbers",
    "benchmark.seeds=3": r"benchmark.seeds=3: must be a list of numbers",
    "benchmark.seeds=[1,1]": r"benchmark.seeds=\[1, 1\]: a list is needed, nothing in it twice",
    "benchmark.algos=[]": r"benchmark.algos=\[\]: must be a list of names",
    "benchmark.algos=[udlm,duo_base]": r"udlm, seed 1 and duo_base, seed 1 would share it",
    "checkpointing.save_dir=here": r"save_dir=here: ar, seed 1 and mdlm, seed 1 would",
    "benchmark.jobs=pbs": r"benchmark.jobs='pbs': choose from print, slurm",
    "benchmark.scorer=maybe": r"benchmark.scorer='maybe': must be of type bool",
    "benchmark.row=9": r"benchmark.row=9: from 0 to 8",
    "benchmark.row=1 benchmark.jobs=print": r"benchmark.row=1: a number, and no benchmark.jobs",
    "noise=cosine benchmark.algos=[mdlm,gidd]": r"noise=cosine: algo=gidd takes no noise key",
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_rows_refuse_in_one_line_before_the_first(overrides: str) -> None:
    # a space inside a value is no end of it
    parts = [f"{name}" for name in overrides.replace(" trainer", "|trainer").split("|")]
    parts = [
        piece for part in parts for piece in part.replace(" benchmark", "|benchmark").split("|")
    ]
    with pytest.raises(ValueError, match=REFUSED[overrides]) as refusal:
        made(*parts)
    assert "\n" not in str(refusal.value)


def test_rows_take_a_protocol(tmp_path: Path) -> None:
    (row,) = made("protocol=zero-shot", "benchmark.algos=[mdlm]")
    assert row.settings.protocol.name == "zero-shot"
