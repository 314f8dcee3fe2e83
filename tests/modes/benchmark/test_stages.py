"""Stages of a row that are done: by its checkpoint and its records, and by nothing else."""

import csv
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from backbones.cost import training_flops
from modes.benchmark.runs import rows
from modes.benchmark.stages import Stages
from modes.estimate import step_of
from tests.composed import compose
from tests.modes.conftest import TINY

TEXT = "\n".join(f"{i} bottles of beer on the wall, take {i % 7} down" for i in range(300))
EVERYTHING = ["train", "ppl_eval", "sample_eval"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "text.txt").write_text(TEXT)
    own = [text for text in TINY if "val_check" not in text]
    places = [f"data.path={folder}/text.txt", f"data.cache_dir={folder}/cache"]
    places += [f"results_dir={folder}/results", f"checkpointing.save_dir={folder}/run"]
    more = ["mode=benchmark", "benchmark.algos=[mdlm]", "trainer.max_steps=20"]
    more += ["trainer.val_check_interval=2"]
    return [*own, *places, *more, "optim.lr=0.003"]


def left(base: list[str], *more: str, run: bool = False) -> list[str]:
    """The kinds of the stages that are not done; `run` does them."""
    given = [*base, *more]
    (row,) = rows(compose(given), given, compose)
    stages = Stages(compose)
    stages.check(row)
    kinds = [stage.mode for stage in stages.left(row)]
    if run:
        stages.run(row)
    return kinds


def folder_of(base: list[str]) -> Path:
    places = [text for text in base if text.startswith("results_dir=")]
    return Path(places[-1].partition("=")[2])


def record_of(base: list[str], metric: str) -> tuple[Path, dict]:
    found = [(file, json.loads(file.read_text())) for file in folder_of(base).glob("*.json")]
    return max(
        (one for one in found if one[1]["metric"] == metric), key=lambda o: o[0].stat().st_mtime_ns
    )


@pytest.fixture(scope="module")
def trained(base: list[str]) -> list[str]:
    assert left(base, run=True) == EVERYTHING
    return base


def test_stages_left_follow_from_records(trained: list[str]) -> None:
    assert left(trained) == []
    for metric, stage in (("ppl", "ppl_eval"), ("samples", "sample_eval")):
        file, _ = record_of(trained, metric)
        content = file.read_text()
        file.write_text(content.replace('"value": ', '"value": 1'))  # its digest is another
        assert left(trained) == [stage]
        file.unlink()
        assert left(trained) == [stage]
        file.write_text(content)
        assert left(trained) == []


def test_samples_of_ar_are_drawn_once_whatever_the_steps(base: list[str]) -> None:
    of_ar = ["benchmark.algos=[ar]", f"checkpointing.save_dir={folder_of(base).parent}/ar"]
    assert left(base, *of_ar, "sampling.sweep={steps: [4, 8]}") == EVERYTHING
    assert left(base, *of_ar, "sampling.sweep={temperature: [0.5, 1.0], steps: [4, 8]}") == [
        *EVERYTHING,
        "sample_eval",
    ]


def test_a_record_says_what_the_training_took_and_saw(trained: list[str]) -> None:
    """Operations by the count of estimate=true, the digests of text and tokenizer, the errors of
    the curve, the versions."""
    file, record = record_of(trained, "ppl")
    (row,) = rows(compose(trained), trained, compose)
    each = step_of(row.settings)
    tokens = record["training"]["tokens"]
    assert record["metrics"]["train_flops"] == tokens * training_flops(each.sizes, each.work)
    assert set(record["training"]["digests"]["corpus"]) == {"train", "valid"}
    assert record["training"]["digests"]["corpus"]["valid"] == record["protocol"]["corpus_digest"]
    assert record["hardware"]["lightning"] == version("lightning")
    with (file.parent / record["metrics"]["curve"]).open() as stream:
        errors = [float(point["nats_stderr"]) for point in csv.DictReader(stream)]
    assert len(errors) == 10 and all(0 < error < 1 for error in errors)


@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        (["eval.passes=2"], ["ppl_eval"]),
        (["protocol=zero-shot", "data.framing=bos"], ["ppl_eval"]),
        (["data.max_eval_blocks=20"], ["ppl_eval"]),
        (["eval.disable_ema=true"], ["ppl_eval", "sample_eval"]),
        (["sampling.steps=4"], ["sample_eval"]),
        (["sampling.num_sample_batches=2"], ["sample_eval"]),
        (["sampling.sweep={steps: [4, 8, 16]}"], ["sample_eval"] * 2),  # 8 is there
        (["trainer.max_steps=21"], EVERYTHING),
        (["sampling.show=0", "loader.num_workers=1"], []),
    ],
)
def test_stages_left_follow_from_settings(
    trained: list[str], changed: list[str], stages: list[str]
) -> None:
    assert left(trained, *changed) == stages


def test_stages_left_follow_from_the_checkpoint(trained: list[str]) -> None:
    file = folder_of(trained).parent / "run" / "checkpoints" / "last.ckpt"
    good = file.read_bytes()
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["state_dict"]["backbone.head.bias"][0] += 1
    torch.save(checkpoint, file)
    try:
        assert left(trained) == ["ppl_eval", "sample_eval"]
    finally:
        file.write_bytes(good)
    assert left(trained) == []


def test_stages_evaluate_only_missing_corpora(trained: list[str]) -> None:
    path = folder_of(trained).parent / "text.txt"
    both = [f"eval.corpora=[one:{path},two:{path}]"]
    assert left(trained, f"eval.corpora=[one:{path}]", run=True) == ["ppl_eval"]
    before = set(folder_of(trained).glob("*.json"))
    assert left(trained, *both, run=True) == ["ppl_eval"]
    (new,) = set(folder_of(trained).glob("*.json")) - before
    assert json.loads(new.read_text())["data"]["name"] == "two"
    assert left(trained, *both) == []


def test_stages_refuse_a_run_beyond_the_budget_and_another_run(trained: list[str]) -> None:
    with pytest.raises(ValueError, match=r"has 20 steps, more than the 10 of this benchmark"):
        left(trained, "trainer.max_steps=10")
    with pytest.raises(ValueError, match=r"the run there has optim.lr=0.003, not 0.1"):
        left(trained, "optim.lr=0.1")


def test_stages_draw_samples_once_their_scorer_is_trained(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"checkpointing.save_dir='{tmp_path}/${{algo.name}}'", f"results_dir={tmp_path}/all"]
    both = [*base, *places, "benchmark.algos=[mdlm,ar]"]
    mdlm, ar = ([*both, f"benchmark.row={number}"] for number in (0, 1))
    assert left(mdlm, run=True) == EVERYTHING
    assert "mdlm, seed 1: its samples wait for ar, seed 1" in capsys.readouterr().err
    assert left(mdlm) == ["sample_eval"]
    assert left(ar, run=True) == EVERYTHING
    assert left(mdlm, run=True) == ["sample_eval"]
    assert left(mdlm) == left(ar) == []
    records = [json.loads(file.read_text()) for file in (tmp_path / "all").glob("*.json")]
    scored = {one["algo"]: one["metrics"] for one in records if one["metric"] == "samples"}
    assert scored.keys() == {"mdlm", "ar"}
    for metrics in scored.values():
        assert metrics["gen_ppl"] > 1
        assert metrics["gen_ppl_scorer"]["scorer"] == f"{tmp_path}/ar"
    assert left(mdlm, "benchmark.scorer=false") == ["sample_eval"]  # unscored ones are others


def test_stages_of_a_budget_in_seconds(base: list[str], tmp_path: Path) -> None:
    places = [f"checkpointing.save_dir={tmp_path}/run", f"results_dir={tmp_path}/results"]
    timed = [*base, *places, "benchmark.budget=2 seconds", "trainer.max_steps=1"]
    assert left(timed, run=True) == EVERYTHING
    assert left(timed) == []
    _, record = record_of(timed, "ppl")
    assert record["config"]["training"]["max_seconds"] == 2
    assert record["metrics"]["train_seconds"] >= 2
    assert record["training"]["steps"] > 1  # trainer.max_steps ends nothing here
    points = (tmp_path / "results" / record["metrics"]["curve"]).read_text().splitlines()
    assert int(points[-1].split(",")[0]) == record["training"]["steps"]
    assert left(timed, "benchmark.budget=1000 seconds") == EVERYTHING


def test_stages_check_evaluations_before_the_training(base: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^eval.times=\[1\]: null, or two times"):
        left(base, "eval.times=[1]")
    with pytest.raises(ValueError, match=r"^sampling.length=99: between 2 and model.length=16"):
        left(base, "sampling.length=99")


def test_record_has_its_curve_beside_it(trained: list[str]) -> None:
    _, record = record_of(trained, "ppl")
    file = folder_of(trained) / record["metrics"]["curve"]
    assert file.parent.name == "curves"
    assert file.stem == hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    with file.open() as stream:
        points = list(csv.DictReader(stream))
    assert [int(point["step"]) for point in points] == [*range(2, 21, 2)]
    assert [int(point["tokens"]) for point in points] == [64 * n for n in range(2, 21, 2)]
    seconds = [float(point["seconds"]) for point in points]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= record["metrics"]["train_seconds"]
    nats = [float(point["nats_per_token"]) for point in points]
    assert nats[-1] < nats[0]
    assert 0 < record["metrics"]["train_peak_memory_bytes"] < 1 << 40


def test_record_has_its_sequences_beside_it(trained: list[str]) -> None:
    _, record = record_of(trained, "ppl")
    file = folder_of(trained) / record["metrics"]["sequences_file"]
    assert file.parent.name == "sequences"
    assert file.stem == hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    with np.load(file, allow_pickle=False) as arrays:
        nats, variance, tokens = (arrays[name] for name in ("nats", "variance", "tokens"))
        assert len(np.unique(arrays["index"])) == len(nats) == record["metrics"]["sequences"]
    assert nats.sum() / tokens.sum() == pytest.approx(
        record["metrics"]["nats_per_token"], rel=1e-12
    )
    stderr = np.sqrt(variance.sum()) / tokens.sum()
    assert stderr == pytest.approx(record["metrics"]["nats_per_token_stderr"], rel=1e-9)
