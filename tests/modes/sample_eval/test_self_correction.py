"""Self-correction through the entry point: of samples, of files, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir

import main
from evaluation.sample_quality.metrics import unigram_entropy
from modes.sample_eval.point import CORRECTION_DEFAULTS
from samplers.config import DEFAULTS
from tests.modes import commands, in_process
from tests.modes.conftest import ROOT

BOS = 256
Sample = Callable[..., dict]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    """A directory with a tiny GIDD run in it."""
    return in_process.train(tmp_path_factory.mktemp("corrected"), text, "algo=gidd").parent


@pytest.fixture
def sample(trained: Path, tmp_path: Path) -> Sample:
    def run(*more: str, run: Path = trained / "run") -> dict:
        return in_process.sample(run, tmp_path / "results", *more)

    return run


def entropy(rows: list[list[int]]) -> float:
    return unigram_entropy([row[1:] for row in rows])


def test_self_correction_on_the_command_line(trained: Path, tmp_path: Path) -> None:
    line = ["mode=sample_eval", "trainer.accelerator=cpu"]
    line += [f"eval.checkpoint_path={trained}/run", f"results_dir={tmp_path}", "sampling.steps=4"]
    line += ["loader.eval_batch_size=8", "sampling.self_correction=8", "sampling.show=1"]
    done = commands.run(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "/13 [" in done.stderr  # calls: 4 of the sampler, 8 steps and a last look
    assert "self-correction: entropy" in done.stdout
    (file,) = tmp_path.glob("*.json")
    record = json.loads(file.read_text())
    metrics = record["metrics"]
    assert record["metric"] == "samples"
    assert record["protocol"]["self_correction"] == record["sampler"]["self_correction"] == 8
    assert "self_correction_time" not in record["protocol"]  # what is as ever is not said
    assert metrics["self_accuracy_before"] < metrics["self_accuracy_after"] <= 1
    assert 0 < metrics["tokens_changed"] <= metrics["correction_steps"] <= 8
    assert metrics["network_evaluations"] <= 13

    samples = json.loads(Path(metrics["samples"]).read_text())["samples"]
    after = [one["tokens"] for one in samples]
    before = [one["uncorrected"]["tokens"] for one in samples]
    assert record["value"] == pytest.approx(entropy(after))
    assert metrics["entropy_before"] == pytest.approx(entropy(before))
    assert metrics["tokens_changed"] == (np.array(after) != np.array(before)).sum() / len(samples)
    assert all(row[0] == BOS for row in after + before)


def test_self_correction_starts_from_the_same_samples(sample: Sample) -> None:
    options = ["sampling.steps=4", "sampling.num_sample_batches=2"]
    plain = sample(*options)
    drawn = [one["tokens"] for one in plain["samples"]]
    assert len(drawn) == 16 and drawn[:8] != drawn[8:]
    assert not {"self_correction", "texts"} & plain["protocol"].keys()
    corrected = sample(*options, "sampling.self_correction=3", "sampling.self_correction_tokens=2")
    assert corrected["protocol"]["self_correction_tokens"] == 2
    first = [one["uncorrected"]["tokens"] for one in corrected["samples"]]
    assert first == drawn
    assert corrected["metrics"]["entropy_before"] == pytest.approx(entropy(first))


def test_self_correction_of_a_file_of_samples_takes_its_tokens(sample: Sample) -> None:
    plain = sample("sampling.steps=4")
    file = f"sampling.texts={plain['metrics']['samples']}"
    corrected = sample(file, "sampling.self_correction=6")
    assert corrected["metric"] == "corrected_samples"
    assert "predictor" not in corrected["protocol"]
    first = [one["uncorrected"]["tokens"] for one in corrected["samples"]]
    assert first == [one["tokens"] for one in plain["samples"]]
    assert corrected["metrics"]["network_evaluations"] <= 7
    accuracy = [one["self_accuracy"] for one in corrected["samples"]]
    assert all(before <= after for before, after in accuracy)


def test_self_correction_of_lines_keeps_their_order(sample: Sample, tmp_path: Path) -> None:
    lines = ["on the wall", "x", "", "take 1 down", "bottles of beer"] + ["two"] * 9
    file = tmp_path / "lines.txt"
    file.write_text("\r\n".join(lines) + "\n")
    made = sample(f"sampling.texts={file}", "sampling.self_correction=2")
    kept = [line for line in lines if line]
    assert [one["uncorrected"]["text"] for one in made["samples"]] == kept
    assert [len(one["tokens"]) for one in made["samples"]] == [1 + len(line) for line in kept]
    assert all(one["tokens"][0] == BOS for one in made["samples"])
    assert made["count"] == len(kept)
    assert made["metrics"]["network_evaluations"] <= 3


def test_min_p_and_greedy_noise_removal(sample: Sample, capfd: pytest.CaptureFixture[str]) -> None:
    """Either leaves less to chance than draws from the whole prediction."""
    loose = sample("sampling.steps=4")
    assert not {"min_p", "noise_removal"} & loose["protocol"].keys()
    certain = sample("sampling.steps=4", "sampling.min_p=0.999")
    assert certain["protocol"] == loose["protocol"] | {"min_p": 0.999}
    assert certain["value"] < loose["value"] - 0.3
    capfd.readouterr()
    greedy = sample("sampling.steps=4", "sampling.noise_removal=greedy")
    assert greedy["protocol"] == loose["protocol"] | {"noise_removal": "greedy"}
    assert greedy["metrics"]["network_evaluations"] == 5
    assert "| 5/5 [" in capfd.readouterr().err
    assert greedy["value"] < loose["value"] - 0.3


@pytest.mark.parametrize(
    ("algo", "reason"),
    [("mdlm", "algo=mdlm cannot"), ("ar", "algo=ar cannot"), ("gidd", "p_uniform=0 cannot")],
)
def test_self_correction_depends_on_the_algorithm_of_the_run(
    algo: str, reason: str, sample: Sample, trained: Path, tmp_path: Path
) -> None:
    """The command line does not say which it is."""
    checkpoint = torch.load(trained / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        checkpoint["config"]["algo"] = asdict(main.compose([f"algo={algo}"]).algo)
    if algo == "gidd":
        checkpoint["config"]["algo"]["p_uniform"] = 0
    file = tmp_path / "other.ckpt"
    torch.save(checkpoint, file)
    with pytest.raises(ValueError, match=reason):
        sample("sampling.self_correction=8", run=file)


def test_defaults_in_code_and_config_agree() -> None:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        sampling = asdict(main.compose([]).sampling)
    known = DEFAULTS | CORRECTION_DEFAULTS
    assert {key: sampling[key] for key in known} == known


def test_self_correction_refuses_more_changes_a_step_than_tokens(sample: Sample) -> None:
    with pytest.raises(ValueError, match=r"sampling\.self_correction_tokens=17: at most"):
        sample("sampling.self_correction=1", "sampling.self_correction_tokens=17")
