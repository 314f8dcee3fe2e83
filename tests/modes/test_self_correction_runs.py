"""Self-correction through the entry point: of samples, of files, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir

import main
from data.order import by_length
from data.tokenizers import make_tokenizer
from evaluation.sample_quality.metrics import unigram_entropy
from modes.checks.combinations import TEXTS
from modes.sample_eval.input_texts import READERS, read_texts
from modes.sample_eval.point import CORRECTION_DEFAULTS
from samplers.build import DEFAULTS
from tests.modes import in_process
from tests.modes.conftest import ROOT

BOS, LENGTH = 256, 16
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


def test_samples_are_corrected_on_the_command_line(trained: Path, tmp_path: Path) -> None:
    line = [sys.executable, str(ROOT / "main.py"), "mode=sample_eval", "trainer.accelerator=cpu"]
    line += [f"eval.checkpoint_path={trained}/run", f"results_dir={tmp_path}", "sampling.steps=4"]
    line += ["loader.eval_batch_size=8", "sampling.self_correction=8", "sampling.show=1"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
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


def test_correction_goes_on_from_the_same_samples(sample: Sample) -> None:
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


def test_a_file_of_samples_is_corrected_by_its_tokens(sample: Sample) -> None:
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


def test_lines_of_any_length_are_corrected_in_their_order(sample: Sample, tmp_path: Path) -> None:
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


def test_min_p_and_a_greedy_tail(sample: Sample, capfd: pytest.CaptureFixture[str]) -> None:
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
def test_the_algorithm_of_the_run_decides(
    algo: str, reason: str, sample: Sample, trained: Path, tmp_path: Path
) -> None:
    """The command line does not say which it is, and older runs do not say what it can do."""
    checkpoint = torch.load(trained / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        checkpoint["config"]["algo"] = main.compose([f"algo={algo}"])["algo"]
    checkpoint["config"]["algo"].pop("corrects")
    if algo == "gidd":
        checkpoint["config"]["algo"]["p_uniform"] = 0
    file = tmp_path / "other.ckpt"
    torch.save(checkpoint, file)
    with pytest.raises(ValueError, match=reason):
        sample("sampling.self_correction=8", run=file)


def test_an_older_run_is_corrected_too(sample: Sample, trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    del checkpoint["config"]["algo"]["corrects"]
    file = tmp_path / "run" / "checkpoints" / "older.ckpt"
    file.parent.mkdir(parents=True)
    torch.save(checkpoint, file)
    made = sample("sampling.steps=2", "sampling.self_correction=1", run=file)
    assert made["metrics"]["correction_steps"] == 1


BAD_FILES = {
    "empty.txt": ("\n\n", "empty.txt: there is no text in it"),
    "long.txt": ("short\n" + "x" * 16, "long.txt line 2: 17 tokens with BOS, at most model.length"),
    "odd.jsonl": ('{"text": "a"}\n{"words": 1}', "odd.jsonl line 2: no text under the key `text`"),
    "cut.jsonl": ('{"text": "a"}\n\n{"te', "cut.jsonl line 3: not JSON"),
    "empty.jsonl": ('{"text": ""}', "empty.jsonl line 1: there is no token in it"),
    "cut.json": ('{"samples": [', "cut.json: not JSON"),
    "other.json": ("[1, 2]", "other.json: not a file of samples"),
    "row.json": ('{"samples": [3]}', "row.json sample 1: no text under the key `text`"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_without_texts_that_fit_are_refused(name: str, tmp_path: Path) -> None:
    content, reason = BAD_FILES[name]
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ValueError, match=r"^sampling\.texts=") as caught:
        read_texts(file, make_tokenizer("bytes"), [BOS], LENGTH)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_only_samples_of_the_same_tokenizer_are_taken_by_their_tokens(tmp_path: Path) -> None:
    tokenizer, file = make_tokenizer("bytes"), tmp_path / "samples.json"
    sample = {"text": "ab", "tokens": [BOS, 99, 200]}
    rows = []
    for digest in (tokenizer.digest, "another", None):
        file.write_text(json.dumps({"tokenizer": digest, "samples": [sample]}))
        rows += read_texts(file, tokenizer, [BOS], LENGTH)
    assert rows == [[BOS, 99, 200], [BOS, 97, 98], [BOS, 97, 98]]
    assert read_texts(file, tokenizer, [], LENGTH) == [[97, 98]]
    sample["tokens"] = [BOS, 300]
    file.write_text(json.dumps({"tokenizer": tokenizer.digest, "samples": [sample]}))
    with pytest.raises(ValueError, match="sample 1: its tokens are not ids from 0 to 257"):
        read_texts(file, tokenizer, [BOS], LENGTH)


def test_batches_are_of_one_length_and_hold_every_text_once() -> None:
    lengths = [3, 5, 3, 3, 5, 1, 3]
    batches = by_length([[0] * length for length in lengths], 3)
    assert [[lengths[i] for i in batch] for batch in batches] == [[1], [3, 3, 3], [3], [5, 5]]
    assert sorted(i for batch in batches for i in batch) == list(range(7))


def test_what_is_said_twice_agrees() -> None:
    assert set(TEXTS) == set(READERS)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        sampling = main.compose([])["sampling"]
    known = DEFAULTS | CORRECTION_DEFAULTS
    assert {key: sampling[key] for key in known} == known


def test_more_changes_a_step_than_tokens_are_refused(sample: Sample) -> None:
    with pytest.raises(ValueError, match=r"sampling\.self_correction_tokens=17: at most"):
        sample("sampling.self_correction=1", "sampling.self_correction_tokens=17")
