"""mode=ppl_eval eval.order=RULE of a small trained run."""

import math
from pathlib import Path
from typing import Any

import pytest

import main
from evaluation.ordered import OrderedNats
from evaluation.records import read_records
from modes.checks.combinations import check
from tests.composed import composed, start
from tests.modes import in_process

TEXT = "\n".join(f"{i} bottles of beer on the wall, take {i % 7} down" for i in range(300))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ordered")
    (folder / "text.txt").write_text(TEXT)
    return in_process.train(folder, folder / "text.txt", "algo=mdlm")


def evaluate(run: Path, results: Path, *more: str) -> dict[str, Any]:
    given = ["mode=ppl_eval", f"eval.checkpoint_path={run}", "trainer.accelerator=cpu"]
    given += ["loader.eval_batch_size=8", f"results_dir={results}", *more]
    start(*given)
    records, problems = read_records(results)
    assert not problems
    return max(records, key=lambda record: record.path.stat().st_mtime_ns).fields


def test_a_record_says_its_order_and_cost(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = evaluate(trained, tmp_path, "eval.order=margin", "sampling.per_step=4")
    printed = capsys.readouterr().out
    assert record["kind"] == "exact under margin, 4 per step"
    assert record["metric"] == "ordered_ppl" and record["stderr"] == 0
    assert record["metrics"]["network_evaluations"] == 4  # 15 tokens behind BOS
    assert record["metrics"]["data_stderr"] > 0 and record["metrics"]["passes"] == 1
    order = {"order": "margin", "per_step": 4, "temperature": 1.0}
    assert record["protocol"]["order"] == order
    texts = record["metrics"]["sequences"]
    said = f"4 network evaluations per text of 16 tokens, {texts} texts, {4 * texts} in all"
    cost, result = printed.index(said), printed.index("perplexity")
    assert cost < result and "standard error over texts" in printed
    assert record["value"] == pytest.approx(math.exp(record["metrics"]["nats_per_token"]))


def test_one_at_a_time_is_the_bound_of_no_entropy_and_a_bound_costs_less(
    trained: Path, tmp_path: Path
) -> None:
    one = evaluate(trained, tmp_path, "eval.order=entropy")
    zero = evaluate(trained, tmp_path, "eval.order=entropy", "sampling.entropy_bound=0")
    wide = evaluate(trained, tmp_path, "eval.order=entropy", "sampling.entropy_bound=1e6")
    assert zero["value"] == pytest.approx(one["value"], rel=1e-6)
    assert one["metrics"]["network_evaluations"] == 15
    assert wide["metrics"]["network_evaluations"] == 1


def test_a_stopped_evaluation_goes_on_to_the_same_number(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after the second of three batches, whose rows are kept."""
    whole = evaluate(trained, tmp_path / "whole", "eval.order=confidence")
    calls: list[int] = []
    plain = OrderedNats.__call__

    def counted(self: OrderedNats, batch: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise OSError("the machine went down")
        return plain(self, batch)

    monkeypatch.setattr(OrderedNats, "__call__", counted)
    monkeypatch.setattr("evaluation.passes.SAVE_SECONDS", -1.0)
    with pytest.raises(OSError, match="went down"):
        evaluate(trained, tmp_path / "parts", "eval.order=confidence")
    again = evaluate(trained, tmp_path / "parts", "eval.order=confidence")
    assert len(calls) == 4  # two, the one that failed, and that one again
    assert again["value"] == whole["value"]
    assert again["metrics"]["network_evaluations"] == whole["metrics"]["network_evaluations"]


def test_samples_in_an_order_are_recorded(trained: Path, tmp_path: Path) -> None:
    record = in_process.sample(
        trained, tmp_path, "sampling.predictor=ordered", "sampling.per_step=5", "sampling.top_k=1"
    )
    how = record["sampler"]
    assert (how["predictor"], how["order"], how["per_step"]) == ("ordered", "confidence", 5)
    assert how["network_evaluations"] == 3 and how["steps"] is None
    first = record["samples"][0]["tokens"]
    assert all(text["tokens"] == first for text in record["samples"])  # greedy


def test_windows_of_semi_ar_are_drawn_in_an_order(trained: Path, tmp_path: Path) -> None:
    record = in_process.sample(
        trained,
        tmp_path,
        *("sampling.predictor=semi_ar", "sampling.order=left-to-right", "sampling.per_step=2"),
        *("sampling.length=24", "sampling.stride=8"),
    )
    assert record["sampler"]["order"] == "left-to-right"
    assert record["sampler"]["network_evaluations"] == 8 + 4  # 15 new tokens, then 8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("eval.order=random", r"eval\.order=random: the probability of a text is then a sum"),
        ("eval.order=margin sampling.per_step=0", r"sampling\.per_step=0: must be at least 1"),
        ("eval.order=margin sampling.per_step=17", r"sampling\.per_step=17: at most 16"),
        ("eval.order=margin sampling.entropy_bound=-1", r"sampling\.entropy_bound=-1: must be at"),
        (
            "eval.order=margin sampling.entropy_bound=1 sampling.per_step=1",
            r"sampling\.entropy_bound=1: sampling\.per_step=1 says already",
        ),
        ("eval.order=margin sampling.min_p=0.1", r"sampling\.min_p=0\.1: with eval\.order=margin"),
        ("eval.order=margin algo=duo", r"eval\.order=margin: algo=duo has no masks"),
        ("eval.order=margin algo=gidd", r"eval\.order=margin: algo=gidd with p_uniform=0\.1 has"),
    ],
)
def test_refusals(trained: Path, tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(trained, tmp_path, *more.split())
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("algo=gidd sampling.predictor=ordered", r"sampling\.predictor=ordered: algo=gidd with p_"),
        ("algo=udlm sampling.predictor=ordered", r"sampling\.predictor=ordered: algo=udlm can use"),
        ("algo=mdlm sampling.entropy_bound=1", r"sampling\.entropy_bound=1(\.0)?: only sampling"),
        (
            "algo=gidd sampling.predictor=semi_ar sampling.order=margin",
            r"sampling\.order=margin: algo=gidd with p_uniform",
        ),
        (
            "algo=mdlm sampling.predictor=first_hitting sampling.coins=systematic",
            r"sampling\.coins=systematic: sampling\.predictor=first_hitting flips no coins",
        ),
        (
            "algo=mdlm sampling.draws=gumbel32 sampling.coins=systematic",
            r"sampling\.coins=systematic: sampling\.draws=gumbel32 flips no coins",
        ),
        ("algo=mdlm eval.order=margin", r"eval\.order=margin: mode=ppl_eval measures by it"),
    ],
)
def test_refusals_of_the_configuration_alone(line: str, message: str) -> None:
    settings = composed(*line.split())
    with pytest.raises(ValueError, match=message):
        check(settings, main.keys_of(line.split()))
