"""mode=oracle: perfect networks of every algorithm, and a trained run in parts."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir

import main
from algos.facts import FACTS
from algos.settings import MDLM
from data.settings import Markov, Stdlib
from evaluation.settings import Eval
from modes.checks.oracle import check_oracle, check_samplers
from modes.oracle import run as oracle
from modes.oracle.report import PERFECT, RUN
from modes.settings import Oracle, Settings
from modes.train import run as train
from tests.algos.configured import CONFIGS, NAMES

TINY = [
    "data=markov",
    "data.states=4",
    "data.train_tokens=4000",
    "data.valid_tokens=1000",
    "model.hidden_size=16",
    "model.n_blocks=1",
    "model.n_heads=2",
    "model.length=9",
    "lr_scheduler.num_warmup_steps=2",
    "trainer.accelerator=cpu",
    "trainer.max_steps=5",
    "loader.global_batch_size=4",
]
OPTIONS = Oracle(steps=[2, 16], samples=100)


@pytest.fixture
def examine(tmp_path: Path) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Runs mode=oracle with tiny settings, and returns its records."""

    def run(*more: str, **options: Any) -> list[dict[str, Any]]:
        given = [*TINY, f"results_dir={tmp_path}/results", *more]

        def compose(overrides: list[str]) -> Settings:
            return replace(main.compose(overrides), oracle=replace(OPTIONS, **options))

        oracle.run(compose(given), given, compose)
        files = sorted((tmp_path / "results").glob("*.json"))
        return [json.loads(file.read_text()) for file in files]

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield run


def by_row(records: list[dict[str, Any]]) -> dict[tuple[str, str, int | None, str], dict]:
    found = {}
    for one in records:
        sampler = one["sampler"]
        network = PERFECT if one["network"]["name"] == PERFECT else RUN
        found[one["algo"], sampler["predictor"], sampler["steps"], network] = one
    return found


def test_oracle_every_sampler_of_every_algorithm_loses_less_in_more_steps(
    examine: Callable[..., list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = by_row(examine(algos=[name for name in NAMES if name != "bd3lm"]))
    shown = capsys.readouterr().out
    for name, facts in FACTS.items():
        for predictor in facts.samplers:
            if name == "bd3lm" or (name, predictor) == ("gidd", "ordered"):
                continue  # which its p_uniform, above 0 here, rules out; blocks below
            assert f"{name} {predictor}" in shown or predictor == "semi_ar"
            steps = [key[2] for key in rows if key[:2] == (name, predictor)]
            if steps == [None]:  # one token after another: nothing is lost
                only = rows[name, predictor, None, PERFECT]
                assert abs(only["value"]) < 4 * only["stderr"]
                assert only["metrics"]["network_evaluations"] <= 9
            elif predictor != "semi_ar":
                few, many = (rows[name, predictor, count, PERFECT] for count in (2, 16))
                assert few["value"] > 5 * few["stderr"]
                assert many["value"] < few["value"] / 3
                assert many["metrics"]["network_evaluations"] <= 16
    assert not any(one["metrics"]["foreign"] for one in rows.values())


@pytest.mark.parametrize("noise", ["masked", "uniform"])
def test_oracle_blocks_lose_less_in_more_steps(
    noise: str, examine: Callable[..., list[dict[str, Any]]]
) -> None:
    """Each of the three blocks by so many steps, and two of them read when they are finished."""
    given = ["algo=bd3lm", "algo.block_size=3", f"algo.noise={noise}"]
    rows = by_row(examine(*given, samplers=["ancestral"]))
    few, many = (rows["bd3lm", "ancestral", count, PERFECT] for count in (2, 16))
    assert few["value"] > many["value"] and abs(many["value"]) < 4 * many["stderr"] + 0.05
    assert few["metrics"]["network_evaluations"] <= 3 * 2 + 2
    assert not any(one["metrics"]["foreign"] for one in rows.values())


def test_oracle_a_run_is_taken_apart(
    examine: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = [f"checkpointing.save_dir={tmp_path}/run", f"data.cache_dir={tmp_path}/cache"]
    train.run(main.compose([*TINY, *places, "algo=mdlm"]), [], main.compose)
    rows = by_row(examine(f"eval.checkpoint_path={tmp_path}/run", samplers=["ancestral"]))
    assert sorted(rows) == sorted(
        ("mdlm", "ancestral", steps, network) for steps in (2, 16) for network in (PERFECT, RUN)
    )
    best, mine = (rows["mdlm", "ancestral", 16, network] for network in (PERFECT, RUN))
    assert mine["value"] > best["value"] + 5 * mine["stderr"]
    assert mine["training"]["steps"] == 5 and best["training"]["steps"] is None
    assert mine["protocol_digest"] == best["protocol_digest"]
    shown = capsys.readouterr().out
    assert "training's part" in shown
    exact, bound, training, total = (float(numbers_of(shown, what)) for what in PARTS)
    assert abs(bound) < 0.3 < training
    assert total == pytest.approx(exact + bound + training, abs=2e-3)  # each is rounded


PARTS = ("the language itself", "the bound, nothing to learn", "  training", "  the run")


def numbers_of(shown: str, what: str) -> str:
    line = next(line for line in shown.splitlines() if what in line)
    return line.split(what)[1].split()[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": Stdlib()}, "data=stdlib: .* data=markov"),
        ({"data": Markov(framing="none")}, "data.framing=none"),
        ({"data": Markov(insert_eos=True)}, "data.insert_eos=True"),
        (
            {"oracle": Oracle(algos=["ar"]), "eval": Eval(checkpoint_path="x")},
            "the run of eval.checkpoint_path",
        ),
    ],
)
def test_oracle_what_makes_no_sense_is_refused_in_one_line(
    changed: dict[str, Any], message: str
) -> None:
    check_oracle(Settings(data=Markov()))
    with pytest.raises(ValueError, match=message):
        check_oracle(Settings(**({"data": Markov()} | changed)))


@pytest.mark.parametrize("name", ["euler", "semi_ar", "none"])
def test_oracle_a_sampler_that_no_algorithm_here_has_is_refused(name: str) -> None:
    check_samplers([MDLM()], ["ancestral"])
    with pytest.raises(ValueError, match=f"oracle.samplers={name}: .* ancestral"):
        check_samplers([MDLM()], ["ancestral", name])
