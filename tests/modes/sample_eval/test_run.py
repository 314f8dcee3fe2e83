"""Sampling through mode=sample_eval: every predictor and option, given texts, sweeps, pages, and a
run that was stopped."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation.batch_cache import BatchCache
from modes.sample_eval import generate
from tests.modes import in_process
from tests.modes.conftest import Command

BOS, LENGTH = 256, 16
Sample = Callable[..., dict]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, text: Path) -> dict[str, Path]:
    """Tiny runs of three kinds of algorithms."""
    names = ("ar", "mdlm", "gidd")
    return {
        name: in_process.train(tmp_path_factory.mktemp(name), text, f"algo={name}")
        for name in names
    }


@pytest.fixture
def sample(runs: dict[str, Path], tmp_path: Path) -> Sample:
    def run(algo: str, *more: str) -> dict:
        return in_process.sample(runs[algo], tmp_path / "results", *more)

    return run


def rows(record: dict) -> list[list[int]]:
    return [one["tokens"] for one in record["samples"]]


WAYS = [
    ("mdlm", ["predictor=ancestral_cache"], {"predictor": "ancestral_cache"}),
    ("mdlm", ["predictor=first_hitting"], {"predictor": "first_hitting", "steps": None}),
    ("mdlm", ["predictor=psi", "kappa=remdm-conf"], {"kappa": "confidence"}),
    ("mdlm", ["predictor=psi", "kappa=remdm-loop", "steps=20"], {"plateau": 0.9, "eta": 0.02}),
    ("gidd", ["predictor=psi", "kappa=constant-eta", "eta=0.7"], {"eta": 0.7}),
    ("gidd", ["draws=gumbel32"], {"draws": "gumbel32"}),
    ("gidd", ["noise_removal=greedy-posterior"], {"noise_removal": "greedy-posterior"}),
    ("mdlm", ["grid=cosine", "top_k=20", "p_nucleus=0.9"], {"grid": "cosine", "top_k": 20}),
    ("ar", ["p_nucleus=0.5", "nucleus=drop-crossing"], {"nucleus": "drop-crossing"}),
]


@pytest.mark.parametrize(("algo", "options", "said"), WAYS, ids=lambda one: str(one))
def test_samplers_are_on_the_record(
    algo: str, options: list[str], said: dict, sample: Sample
) -> None:
    steps = [] if "steps=20" in options else ["sampling.steps=6"]
    made = sample(algo, *steps, *(f"sampling.{option}" for option in options))
    assert said.items() <= made["protocol"].items()
    for row in rows(made):
        assert len(row) == LENGTH and row[0] == BOS and max(row) <= BOS
    assert 0 < made["metrics"]["network_evaluations"] <= 21
    named = [made["protocol"][key] for key in ("predictor", "steps")]
    name = "-".join(str(key) for key in named if key is not None)  # of some samplers without steps
    assert f"Z-{name}-" in Path(made["metrics"]["samples"]).name


def test_network_evaluations_are_counted_for_each_text(sample: Sample) -> None:
    """First hitting takes as many as there are tokens; ancestral steps never more, and fewer where
    several are drawn at once."""
    hit = sample("mdlm", "sampling.predictor=first_hitting")["metrics"]["network_evaluations"]
    fine = sample("mdlm", "sampling.steps=500")["metrics"]["network_evaluations"]
    coarse = sample("mdlm", "sampling.steps=4")["metrics"]["network_evaluations"]
    assert hit == LENGTH - 1
    assert LENGTH - 2 < fine <= LENGTH - 1
    assert coarse <= 4
    guided = sample("mdlm", "sampling.steps=4", "sampling.prompt='5 bot'", "sampling.guidance=1")
    assert guided["metrics"]["network_evaluations"] > coarse  # with the prompt and without it


def test_noise_removal_none_leaves_noise(sample: Sample) -> None:
    made = sample("gidd", "sampling.steps=1", "sampling.noise_removal=none")
    assert made["protocol"]["noise_removal"] == "none"
    assert all(max(row) <= BOS + 1 for row in rows(made))


@pytest.mark.parametrize("algo", ["ar", "mdlm", "gidd"])
def test_prompt_stays_in_front(algo: str, sample: Sample) -> None:
    made = sample(algo, "sampling.prompt='12 bot'", "sampling.steps=4")
    assert len(rows(made)) == 8
    assert all(row[:7] == [BOS, *b"12 bot"] for row in rows(made))
    assert len({tuple(row) for row in rows(made)}) > 1
    assert made["protocol"]["tasks"] and "length" not in made["protocol"]


@pytest.mark.parametrize("predictor", ["ancestral", "psi", "first_hitting"])
def test_infill_fills_gaps_and_leaves_the_rest(predictor: str, sample: Sample) -> None:
    infill = "sampling.infill='[...3]on the[...2]'"
    for row in rows(sample("mdlm", infill, f"sampling.predictor={predictor}", "sampling.steps=4")):
        assert len(row) == 12 and bytes(row[4:10]) == b"on the"


def test_tasks_come_out_in_the_order_of_their_file(sample: Sample, tmp_path: Path) -> None:
    tasks = [{"prompt": "take"}, {"infill": "a[...2]b", "id": "gap"}, {"prompt": "on", "length": 8}]
    file = tmp_path / "tasks.jsonl"
    file.write_text("\n".join(map(json.dumps, tasks)))
    every = ["sampling.steps=2", "sampling.num_sample_batches=2", f"sampling.tasks={file}"]
    record = sample("mdlm", *every)
    assert [one.get("task") for one in record["samples"]] == [None] * 2 + ["gap"] * 2 + [None] * 2
    made = rows(record)
    assert [len(row) for row in made] == [16, 16, 5, 5, 8, 8]
    assert all(bytes(row[1:5]) == b"take" for row in made[:2])
    assert all((row[1], row[4]) == (ord("a"), ord("b")) for row in made[2:4])


def test_self_correction_leaves_given_tokens(sample: Sample) -> None:
    infill = "sampling.infill='[...4]on the[...4]'"
    made = sample("gidd", infill, "sampling.steps=2", "sampling.self_correction=20")
    assert all(bytes(row[5:11]) == b"on the" for row in rows(made))
    assert made["metrics"]["tokens_changed"] > 0


@pytest.mark.parametrize("algo", ["mdlm", "gidd"])
def test_semi_ar_draws_texts_longer_than_the_model(algo: str, sample: Sample) -> None:
    long = ["sampling.predictor=semi_ar", "sampling.length=40", "sampling.stride=5"]
    made = sample(algo, *long, "sampling.prompt='7 bottles of beer on'", "sampling.steps=3")
    for row in rows(made):
        assert len(row) == 40 and row[0] == BOS and bytes(row[1:21]) == b"7 bottles of beer on"
    assert made["protocol"]["stride"] == 5


def test_animate_writes_a_page(sample: Sample) -> None:
    for algo in ("ar", "mdlm"):
        made = sample(algo, "sampling.animate=true", "sampling.steps=4")
        page = Path(made["metrics"]["samples"]).with_suffix(".html").read_text()
        assert page.startswith("<!DOCTYPE html>") and "Content-Security-Policy" in page


def test_sweep_is_a_record_for_each_point_and_a_picture(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample("mdlm", "+sampling.sweep={temperature: [0.5, 1.0], steps: [2, 4]}")
    records = [json.loads(file.read_text()) for file in (tmp_path / "results").glob("*.json")]
    points = {(one["protocol"]["temperature"], one["protocol"]["steps"]) for one in records}
    assert points == {(0.5, 2), (0.5, 4), (1.0, 2), (1.0, 4)}
    assert len(list((tmp_path / "results").glob("*-frontier-mdlm-*.png"))) == 1
    shown = capsys.readouterr().out
    assert "temperature" in shown and "held-out text in blocks of the same length" in shown


def test_stopped_sampling_goes_on_with_its_batches(
    sample: Sample,
    runs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["sampling.steps=3", "sampling.num_sample_batches=4", "seed=5"]
    whole = sample("gidd", *options)
    keep_batch = generate.keep_batch

    def stopped(cache: BatchCache, number: int, batch: generate.SampleBatch) -> None:
        if number == 2:
            raise FloatingPointError("stopped")
        keep_batch(cache, number, batch)

    monkeypatch.setattr(generate, "keep_batch", stopped)
    with pytest.raises(FloatingPointError):
        sample("gidd", *options)
    (left,) = (runs["gidd"] / "samples").glob("unfinished-*")
    assert sorted(file.name for file in left.glob("*.json")) == ["0.json", "1.json"]
    monkeypatch.undo()
    capsys.readouterr()
    sample("gidd", *options, "sampling.temperature=0.9")  # another question is not answered by it
    assert "drawn before" not in capsys.readouterr().out
    resumed = sample("gidd", *options)
    assert "2 of 4 batches were drawn before" in capsys.readouterr().out
    assert rows(resumed) == rows(whole)
    for name in ("network_evaluations", "distinct_2"):
        assert resumed["metrics"][name] == whole["metrics"][name]
    assert not left.exists()


REFUSED = {
    "sampling.prompt=over the hills and far away": "at most 16 are allowed",
    "sampling.infill=no gap here": "gap",
    "sampling.predictor=semi_ar sampling.stride=15": "sampling.stride=15: from 1 to 14",
    "sampling.predictor=first_hitting sampling.noise_removal=greedy": "has its own last step",
    "sampling.predictor=first_hitting sampling.grid=cosine": "has no grid of times",
    "sampling.guidance=2": "needs something to be guided by",
    "sampling.eta=0.1": "only sampling.predictor=psi",
    "sampling.stride=3": "only sampling.predictor=semi_ar",
    "sampling.predictor=psi sampling.draws=gumbel32": "only sampling.predictor=ancestral",
    "sampling.predictor=psi sampling.kappa=pure-pc sampling.eta=0.5": "has none",
    "sampling.num_sample_batches=0": "must be at least 1",
    "sampling.p_nucleus=1.5": "above 0 and at most 1",
    "sampling.predictor=analytic": "algo=mdlm can use",
    "sampling.sweep={temperature:[0.0]}": "sampling.sweep.temperature=[0.0]",
    "sampling.prompt=a sampling.infill=[...]": "give only one of them",
}


@pytest.mark.parametrize("line", REFUSED)
def test_sample_eval_refuses_before_anything_is_drawn(
    line: str, runs: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    words = line.replace(" sampling.", "\n+++sampling.").split("\n+++")
    place = [f"eval.checkpoint_path={runs['mdlm']}", f"results_dir={tmp_path}/results"]
    done = command("mode=sample_eval", *place, *words, base=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: sampling.") and REFUSED[line] in done.stderr


def test_sample_eval_of_ar_refuses_what_it_cannot_do(sample: Sample) -> None:
    for option, reason in {
        "sampling.infill='a[...]b'": "takes prefixes only",
        "sampling.guidance=1": "no prediction without its prompt",
        "sampling.noise_removal=none": "has its own last step",
    }.items():
        with pytest.raises(ValueError, match=reason):
            sample("ar", option)
