"""mode=downstream on small runs: records, answers, and what is refused."""

import json
import lzma
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir

import main
from evaluation.downstream.tasks import check_tasks, load_tasks
from evaluation.records import read_records
from modes import downstream
from tests.changed import changed
from tests.modes import commands
from tests.modes.conftest import TINY

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
# What lm-eval's imports say of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:.*")

LAMBADA = Path(__file__).resolve().parents[2].parent / "shared/data/lambada/lambada_test.jsonl.xz"
TEXTS = [f"{n} bottles of beer on the wall, take {n % 7} down" for n in range(12)]
TASKS = {
    "counting": """
task: counting
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/rows.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{text}}"
doc_to_choice: ["down", "up", "sideways"]
doc_to_target: 0
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0}
""",
    "going_on": """
task: going_on
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/rows.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: "{{text}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8, do_sample: true, temperature: 0.7}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0}
""",
    "reading": """
task: reading
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/rows.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]
metadata: {version: 1.0}
""",
}
Evaluate = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of task files, and their rows."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (folder / "rows.jsonl").write_text(rows)
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(text.replace("FOLDER", str(folder)))
    return folder


@pytest.fixture(scope="module")
def runs(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny runs, `ar` and `mdlm`."""
    folder = tmp_path_factory.mktemp("runs")
    places = [f"data.path={text}", "data.valid_split=tail", f"data.cache_dir={folder}/cache"]
    for algo in ("ar", "mdlm"):
        own = [f"algo={algo}", "trainer.max_steps=2", f"checkpointing.save_dir={folder}/{algo}"]
        done = commands.run([*TINY, *places, *own], folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def evaluate(runs: Path, tmp_path: Path) -> Evaluate:
    """Evaluates a run; its records by task."""

    def run(algo: str, *overrides: str, **options: Any) -> dict[str, dict[str, Any]]:
        results = tmp_path / f"results{len(list(tmp_path.iterdir()))}"
        given = [f"results_dir={results}", f"eval.checkpoint_path={runs}/{algo}", *overrides]
        given += ["trainer.accelerator=cpu", "sampling.steps=4"]
        with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
            settings = main.compose(given)
            unsaid = {"tasks_path": None, "limit": None, "num_fewshot": None}
            asked = unsaid | {"downstream_score": "continuation"} | options
            downstream.run(changed(settings, eval=asked), given, main.compose)
        return {one.fields["data"]["name"]: one.fields for one in read_records(results)[0]}

    return run


def test_downstream_lambada_is_read_from_a_file(
    evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "texts.jsonl.xz"
    file.write_bytes(
        lzma.compress("".join(json.dumps({"text": one}) + "\n" for one in TEXTS).encode())
    )
    options = {"tasks": ["lambada_local"], "tasks_path": str(file)}
    for algo, kind in (("ar", "exact"), ("mdlm", "estimate")):
        fields = evaluate(algo, "eval.passes=3", **options)["lambada_local"]
        assert (fields["algo"], fields["kind"], fields["metric"]) == (algo, kind, "acc")
        assert fields["count"] == len(TEXTS)
        answers = Path(fields["metrics"]["answers"]).read_text().splitlines()
        values = [json.loads(line)["log_likelihoods"][0] for line in answers]
        perplexity, error = fields["metrics"]["task_metrics"]["perplexity"]
        assert perplexity == pytest.approx(math.exp(-math.fsum(v for v, _ in values) / len(values)))
        assert error > 0
        assert all((stderr > 0) == (algo == "mdlm") for _, stderr in values)
        assert fields["protocol"]["passes"] == (3 if algo == "mdlm" else None)
    shown = capsys.readouterr().out
    assert "lambada_local" in shown and "<= " in shown


def test_downstream_tasks_of_a_folder_one_record_each(
    evaluate: Evaluate, tasks: Path, capsys: pytest.CaptureFixture
) -> None:
    options = {"tasks": list(TASKS), "tasks_path": str(tasks), "limit": 5}
    found = evaluate("mdlm", "eval.passes=4", **options)
    assert set(found) == set(TASKS)
    assert {name: one["metric"] for name, one in found.items()} == {
        "counting": "acc",
        "going_on": "exact_match",
        "reading": "word_perplexity",
    }
    assert found["reading"]["kind"] == "upper bound"
    assert {one["count"] for one in found.values()} == {5}
    known = found["counting"]["metrics"]["log_likelihoods"]
    assert 0 < known["lead_stderr"] < known["lead_stderr_unpaired"]
    assert 0 <= known["undecided"] <= 1
    assert found["going_on"]["sampler"]["temperature"] == 0.7
    assert found["going_on"]["metrics"]["log_likelihoods"] is None
    assert found["counting"]["protocol"]["score"] == "continuation"
    assert found["counting"]["metrics"]["truncated"] > 0  # the runs' texts are of 16 bytes
    shown = capsys.readouterr().out
    assert "undecided" in shown and all(name in shown for name in TASKS)

    again = evaluate("mdlm", "eval.passes=4", **options)
    for name, one in again.items():
        assert one["value"] == found[name]["value"]
        assert one["protocol"] == found[name]["protocol"]
    full = evaluate(
        "mdlm", "eval.passes=4", **(options | {"tasks": ["counting"], "downstream_score": "full"})
    )
    assert full["counting"]["protocol"] != found["counting"]["protocol"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["countin"]}, "eval.tasks=countin: .*did you mean counting?"),
        ({"tasks": ["lambada_local"]}, "eval.tasks=lambada_local: needs eval.tasks_path"),
        ({"tasks": None}, "eval.tasks=None: a list"),
        (
            {"tasks": ["reading"], "downstream_score": "full"},
            "eval.downstream_score=full: it ranks",
        ),
        ({"tasks": ["counting"], "tasks_path": "/none"}, "eval.tasks_path=/none: there is no such"),
    ],
)
def test_downstream_mistakes_are_refused_before_the_run_is_opened(
    options: dict[str, Any],
    message: str,
    evaluate: Evaluate,
    tasks: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def only_local(**arguments: Any) -> Any:
        return manager(**(arguments | {"include_defaults": False}))  # the others take long to list

    from lm_eval import tasks as harness

    manager = harness.TaskManager
    monkeypatch.setattr(harness, "TaskManager", only_local)
    with pytest.raises((ValueError, OSError), match=message) as caught:
        evaluate("none", **({"tasks_path": str(tasks)} | options))
    assert "\n" not in str(caught.value)


def test_downstream_a_missing_harness_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install lm-eval==0\.4\.13"):
        check_tasks(["arc_easy"])


@pytest.mark.skipif(not LAMBADA.is_file(), reason="the shared LAMBADA texts are not here")
def test_downstream_the_whole_of_lambada_is_a_task() -> None:
    task = load_tasks(["lambada_local"], str(LAMBADA), None)["lambada_local"]
    assert len(task.eval_docs) == 5153
    doc = task.eval_docs[0]
    assert task.doc_to_text(doc) + task.doc_to_target(doc) == doc["text"]
    assert task.doc_to_target(doc) == " signs"
    assert set(task.aggregation()) == {"perplexity", "acc"}
