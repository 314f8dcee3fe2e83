"""Likelihoods of small trained runs: passes and their error, windows, several texts at once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from algos.base import Draws
from data.loaders import tensors
from evaluation.perplexity import in_order, sequence_rows, summarise
from evaluation.records import read_records
from evaluation.rounding import with_error
from modes import build, trained_run
from tests.composed import composed, start
from tests.modes.conftest import TINY

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
TEXT = "\n".join(f"{i} bottles of beer on the wall, take {i % 7} down" for i in range(300))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By algorithm, a folder with a run, its text and its caches."""
    folders = {algo: tmp_path_factory.mktemp(algo) for algo in ("mdlm", "ar")}
    for algo, folder in folders.items():
        (folder / "text.txt").write_text(TEXT)
        places = [f"data.path={folder}/text.txt", f"data.cache_dir={folder}/cache"]
        places += [f"checkpointing.save_dir={folder}/run", "trainer.max_steps=60", "optim.lr=0.003"]
        start(*TINY, *places, f"algo={algo}")
    return folders


@pytest.fixture(params=["mdlm", "ar"])
def trained(request: pytest.FixtureRequest, runs: dict[str, Path]) -> Path:
    return runs[request.param]


@pytest.fixture
def evaluate(trained: Path, tmp_path: Path) -> Iterator[Any]:
    """mode=ppl_eval of the run; the newest record as a dict."""

    def of(*more: str) -> list[dict[str, Any]]:
        start(
            *("mode=ppl_eval", "trainer.accelerator=cpu", "loader.eval_batch_size=8"),
            *(f"eval.checkpoint_path={trained}/run", f"results_dir={tmp_path}/results", *more),
        )
        records, problems = read_records(tmp_path / "results")
        assert not problems
        return [record.fields for record in records]

    yield of


def test_ppl_eval_windows_score_every_token_and_say_so(trained: Path, evaluate: Any) -> None:
    whole = "data.max_eval_blocks=null"
    (plain,) = evaluate(whole)
    _, sliding = sorted(
        evaluate(whole, "eval.stride=4"), key=lambda one: "stride" in one["protocol"]
    )
    assert sliding["protocol"]["stride"] == 4
    assert sliding["protocol_digest"] != plain["protocol_digest"]
    assert sliding["count"] == plain["count"]
    assert sliding["kind"] == plain["kind"]
    assert sliding["metrics"]["sequences"] > 3 * plain["metrics"]["sequences"]
    if plain["algo"] == "ar":  # more context, of the kind it was trained with
        assert sliding["value"] < plain["value"]


def test_ppl_eval_says_which_seed_its_noise_comes_from(trained: Path, evaluate: Any) -> None:
    """The seed of the record is that of the training."""
    (first,) = evaluate("seed=7")
    (second,) = [record for record in evaluate("seed=8") if record["digest"] != first["digest"]]
    assert [record["metrics"]["noise_seed"] for record in (first, second)] == [7, 8]
    assert first["seed"] == second["seed"] == first["training"]["seed"] == 1
    assert (first["value"] == second["value"]) == (first["algo"] == "ar")


def test_ppl_eval_a_preset_with_changes_names_itself(trained: Path, evaluate: Any) -> None:
    (record,) = evaluate("protocol=duo-lm1b-wrap", "model.length=16", "eval.passes=2")
    assert record["config"]["protocol"]["name"] == "duo-lm1b-wrap"
    assert record["config"]["eval"]["times"] == [0.001, 1.0]
    assert record["protocol"]["precision"] == "bf16-mixed"
    assert record["protocol"]["framing"] == "bos-eos"
    assert record["metrics"]["passes"] == (1 if record["algo"] == "ar" else 2)
    blocks = record["protocol"]["blocks"]
    assert record["count"] == blocks * (15 if record["algo"] == "ar" else 16)


def test_ppl_eval_several_texts_in_one_command(
    trained: Path, evaluate: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Each is what it is alone; the missing one is named, and the rest goes on."""
    other = tmp_path / "other.txt"
    other.write_text(TEXT[::-1])
    small = tmp_path / "small.txt"
    small.write_text("short")
    listed = (
        f"eval.corpora=[one:{trained}/text.txt,gone:{tmp_path}/gone.txt,small:{small},two:{other}]"
    )
    more = ["protocol=zero-shot", "eval.passes=2", "data.max_eval_blocks=20"]
    with pytest.raises(ValueError, match=r"eval\.corpora: 2 of 4 could not be had: gone, small"):
        evaluate(*more, listed)
    printed = capsys.readouterr().out
    assert "gone: set aside, data.valid_path=" in printed
    assert "small: set aside, data=small: the valid split has 5 tokens" in printed
    lines = printed[printed.index("corpus") :].splitlines()
    table = [line.rstrip() for line in lines if "─" not in line]
    assert [line.split()[0] for line in table] == ["corpus", "one", "two"]
    records, _ = read_records(tmp_path / "results")
    found = {record.fields["data"]["name"]: record.fields for record in records}
    assert set(found) == {"one", "two"}
    bound = found["one"]["kind"] == "upper bound"
    for name, line in zip(("one", "two"), table[1:], strict=True):
        value, error = found[name]["value"], found[name]["stderr"]
        shown = f"<= {with_error(value, error)}" if bound else f"{value:.4f}"
        assert f"{found[name]['count']:,}  " in line and shown in line
        bits = re.search(r"([\d.]+)(?: ± ([\d.]+))?$", line)
        assert bits is not None
        reached = found[name]["metrics"]["bits_per_byte"] - float(bits[1])
        assert abs(reached) <= (float(bits[2]) / 10 if bound else 1e-4)
    alone = ["data=text", "data.name=two", f"data.path={other}", f"data.valid_path={other}"]
    evaluate(*more, *alone)
    again = [one.fields for one in read_records(tmp_path / "results")[0]]
    twice = [one for one in again if one["data"]["name"] == "two"]
    assert len(twice) == 2
    assert twice[0]["value"] == twice[1]["value"]
    assert twice[0]["protocol_digest"] == twice[1]["protocol_digest"]


@pytest.mark.parametrize(("preset", "data"), [("duo-lm1b", "lm1b"), ("text8-256", "text8")])
def test_ppl_eval_a_published_corpus_from_a_local_folder(
    trained: Path,
    evaluate: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
    data: str,
) -> None:
    """Laid out like the Hub's: the preset reads the test split alone."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub")
    folder = tmp_path / data
    folder.mkdir()
    for split, words in (("train", "a" * 999), ("validation", "b" * 999), ("test", "c d e f g h")):
        lines = [json.dumps({"text": f"{words} {number}"}) for number in range(20)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    (record,) = evaluate(
        *(f"protocol={preset}", f"data={data}", f"data.path={folder}", "model.length=16"),
        *(f"data.cache_dir={tmp_path}/tokens", "eval.passes=2"),
    )
    packing = {"lm1b": "pad", "text8": "wrap"}[data]
    assert (record["protocol"]["packing"], record["protocol"]["framing"]) == (packing, "bos-eos")
    texts = [f"c d e f g h {number}" for number in range(20)]
    given = sum(min(len(text), 14) + 2 for text in texts)
    blocks = 20 if packing == "pad" else sum(map(len, texts)) // 14
    scored = given if packing == "pad" else 16 * blocks
    assert record["protocol"]["blocks"] == blocks
    assert record["count"] == scored - (blocks if record["algo"] == "ar" else 0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("eval.corpora=[]", r"eval\.corpora=\[\]: must be a list of paths, or null"),
        ("eval.corpora=ptb", r"eval\.corpora='ptb': must be a list of paths, or null"),
        ("eval.corpora=[ptb,ptb]", r"eval\.corpora=\['ptb', 'ptb'\]: ptb is there twice"),
        ("eval.corpora=[ptb] data=lambada", r"data: plays no part with eval\.corpora"),
        ("eval.stride=17", r"eval\.stride=17: from 1 to model\.length=16"),
        ("protocol=text8-256", r"protocol=text8-256: its model\.length=256, the run was trained"),
    ],
)
def test_ppl_eval_refusals(evaluate: Any, more: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(*more.split())


def test_ppl_eval_small_shared_texts(trained: Path, evaluate: Any) -> None:
    if not SHARED.is_dir():
        pytest.skip("the folder of shared corpora is not beside the repository")
    files = {
        "lambada": SHARED / "data" / "lambada" / "lambada_test.jsonl.xz",
        "wikitext2": SHARED / "data" / "wikitext-2-raw" / "test.txt.xz",
    }
    listed = ",".join(f"{name}:{file}" for name, file in files.items())
    more = ["eval.passes=2", "data.max_eval_blocks=8"]
    found = evaluate("protocol=zero-shot", f"eval.corpora=[{listed}]", *more)
    assert {record["data"]["name"] for record in found} == set(files)


@torch.no_grad()
def test_ppl_eval_the_stated_error_is_the_spread_over_seeds(runs: dict[str, Path]) -> None:
    """And four passes have half the error of one."""
    overrides = ["mode=ppl_eval", f"eval.checkpoint_path={runs['mdlm']}/run"]
    opened = trained_run.open_run(composed(*overrides), overrides)
    data = build.data(opened.settings, devices=1)
    algorithm = trained_run.restore(opened)
    index = np.arange(16)
    batch = tensors(data.blocks("valid").batch(index, index * 0) | {"index": index})
    values: dict[int, list[float]] = {1: [], 2: [], 4: []}
    stated: dict[int, list[float]] = {2: [], 4: []}
    for seed in range(120):
        algorithm.seed, passes = seed, []
        for number in range(4):
            nats = algorithm.nll(batch, Draws(number))
            rows = sequence_rows(batch["index"], nats, algorithm.scored(batch))
            passes.append(in_order(rows))
        for count, own in values.items():
            own.append(summarise(passes[:count]).nats_per_token)
        for count, own in stated.items():
            own.append(summarise(passes[:count]).stderr)
    spread = {count: float(np.std(own, ddof=1)) for count, own in values.items()}
    typical = {count: float(np.sqrt(np.mean(np.square(own)))) for count, own in stated.items()}
    for count in stated:
        assert 0.8 < typical[count] / spread[count] < 1.35, (typical, spread)
    assert typical[2] / typical[4] == pytest.approx(2**0.5, rel=0.1)
    assert spread[1] / spread[4] == pytest.approx(2, rel=0.25)
