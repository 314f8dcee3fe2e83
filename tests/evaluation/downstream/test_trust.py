"""Folders of task files that want code to be run: none of it runs, and one line says why."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.downstream.tasks import check_tasks, load_tasks
from evaluation.downstream.trust import PACKAGE, render_in_sandbox, rendering

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

# What lm-eval's imports say of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:.*")

GOOD: dict[str, Any] = {
    "task": "evil",
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "loglikelihood",
    "doc_to_text": "{{q.strip() ~ '?'}}",
    "doc_to_target": " b",
}
ESCAPE = "{{ cycler.__init__.__globals__.os.system('touch SENTINEL') }}"
TOUCH = (
    "import pathlib\npathlib.Path('SENTINEL').touch()\ndef f(*_, **__): return 'a'\nclass T: pass\n"
)
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def few_of_lm_evals_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """To list all of its tasks takes long."""
    from lm_eval.tasks._index import TaskIndex

    of_files = TaskIndex._iter_yaml_files

    def few(root: Path) -> Any:
        return [PACKAGE / "qasper" / "bool.yaml"] if root.resolve() == PACKAGE else of_files(root)

    monkeypatch.setattr(TaskIndex, "_iter_yaml_files", staticmethod(few))


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    return tmp_path / "EXECUTED"


@pytest.fixture
def folder(tmp_path: Path, sentinel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a row of data and a Python file that leaves a trace where it is imported."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [json.dumps({"q": f"a{i}", "n": i, "sub": {"x": 1}}) for i in range(3)]
    (folder / "d.jsonl").write_text("\n".join(rows))
    code = TOUCH.replace("SENTINEL", str(sentinel))
    for name in ("evil.py", "utils.py", "evil_metric.py"):
        (folder / name).write_text(code)
    return folder


@pytest.fixture
def write(folder: Path, sentinel: Path) -> Write:
    """Writes a task file: GOOD with changes, then lines of YAML as they are."""

    def file(name: str = "evil.yaml", more: str = "", **changes: Any) -> Path:
        data = {"data_files": {"test": f"{folder}/d.jsonl"}}
        said = {**GOOD, "dataset_kwargs": data, **changes}
        lines = [f"{key}: {json.dumps(value)}" for key, value in said.items() if value is not None]
        text = "\n".join([*lines, more]).replace("SENTINEL", str(sentinel))
        (folder / name).write_text(text.replace("FOLDER", str(folder)))
        return folder / name

    return file


def refusal(folder: Path, name: str = "evil") -> str:
    with pytest.raises((ValueError, OSError)) as refused:
        load_tasks([name], str(folder), None)
    said = str(refused.value)
    assert "\n" not in said and said.startswith(f"eval.tasks={name}: ")
    return said


def test_trust_a_folder_of_plain_data_is_taken_as_it_is(folder: Path, write: Write) -> None:
    write(doc_to_target="{{sub.x}}{% for i in range(2) %}{{loop.index}}{% endfor %}")
    task = load_tasks(["evil"], str(folder), 1)["evil"]
    doc = task.eval_docs[1]
    assert task.doc_to_text(doc) == "a1?" and task.doc_to_target(doc) == "112"
    assert task.get_config("num_fewshot") == 1


KEYS = ["doc_to_text", "doc_to_target", "doc_to_choice", "process_docs", "process_results"]
KEYS += ["custom_dataset", "description", "gen_prefix", "class"]


@pytest.mark.parametrize("key", KEYS)
def test_trust_functions_are_refused_by_file_and_line(
    key: str, folder: Path, write: Write, sentinel: Path
) -> None:
    name = "utils.T" if key == "class" else "utils.f"
    file = write(more=f"{key}: !function {name}", **{key: None})
    line = len(file.read_text().splitlines())
    assert f"{file}: line {line}: !function: it names code; eval.trust_tasks=true" in refusal(
        folder
    )
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "more",
    [
        "metric_list: [{metric: !function utils.f}]",
        "metric_list: [{metric: acc, aggregation: !function utils.f}]",
        "filter_list: [{name: a, filter: [{function: custom, filter_fn: !function utils.f}]}]",
        "fewshot_config: {sampler: !function utils.f}",
        "metadata: {deep: [{deeper: &a !function utils.f}, *a]}",
        "? !function utils.f\n: 1",
    ],
)
def test_trust_functions_are_found_at_any_depth(
    more: str, folder: Path, write: Write, sentinel: Path
) -> None:
    lines = write(more=more).read_text().splitlines()
    (number,) = (n for n, line in enumerate(lines, start=1) if "!function" in line)
    assert f"evil.yaml: line {number}: !function" in refusal(folder)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "include", ["base.yaml", "[base.yaml]", "/absolute", "<<: {include: base.yaml}"]
)
def test_trust_functions_of_an_included_file_do_not_run(
    include: str, folder: Path, write: Write, sentinel: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    for place in (folder, outside):
        (place / "base.yaml").write_text("process_docs: !function utils.f\n")
        (place / "utils.py").write_text((folder / "evil.py").read_text())
    include = include.replace("/absolute", f"{outside}/base.yaml")
    write(more=include if include.startswith("<<") else f"include: {include}")
    said = refusal(folder)
    assert not sentinel.exists()
    assert include.startswith("<<") or "base.yaml: line 1: !function" in said


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/object/new:str"],
)
def test_trust_objects_of_python_are_refused_and_named(
    tag: str, folder: Path, write: Write, sentinel: Path
) -> None:
    lines = write(more=f"metadata: {tag} ['touch SENTINEL']").read_text().splitlines()
    assert f"evil.yaml: line {len(lines)}: {tag}: lm-eval knows no such tag" in refusal(folder)
    assert not sentinel.exists()


ATTACKS = [
    ESCAPE,
    "{{ lipsum.__globals__['os'].system('touch SENTINEL') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ (q|attr('__class__')).__base__ }}",
    "{{ [q]|map(attribute='__class__')|first }}",
    "{{ '{0.__class__}'.format(q) }}",
    "{{ q['__class__'] }}",
    "{{ cycler.__init__['__globals__'] }}",
    "{% set x = sub.update({'x': 2}) %}",
    "{{ namespace.mro() }}",
    "{{ regex_replace.__globals__ }}",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_trust_templates_see_plain_data_alone(
    attack: str, folder: Path, write: Write, sentinel: Path
) -> None:
    write(doc_to_text=attack)
    assert "a template" in refusal(folder)
    assert not sentinel.exists()


@pytest.mark.parametrize("key", ["doc_to_target", "doc_to_choice", "description", "gen_prefix"])
def test_trust_templates_of_every_key_and_question(
    key: str, folder: Path, write: Write, sentinel: Path
) -> None:
    """Only in the last question, which nobody renders when the task is made."""
    choice = {"output_type": "multiple_choice", "doc_to_choice": "{{['a', 'b']}}"}
    target = 0 if key == "doc_to_choice" else "{{'a'}}"
    late = "{% if n == 2 %}" + ESCAPE + "{% endif %}" + ("['a', 'b']" if key in choice else "")
    write(**({"doc_to_target": target} | (choice if key == "doc_to_choice" else {}) | {key: late}))
    task = load_tasks(["evil"], str(folder), None)["evil"]
    with pytest.raises(ValueError, match="x: a template does more than"), rendering("x"):
        task.build_all_requests()
    assert not sentinel.exists()


def test_trust_templates_call_no_methods_of_decoded_objects() -> None:
    from lm_eval import utils
    from PIL import Image

    render_in_sandbox(False)
    with pytest.raises(ValueError, match="a template does more"), rendering("x"):
        utils.apply_template("{{ image.save('x.png') }}", {"image": Image.new("L", (1, 1))})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class": "utils.T"}, "evil.yaml: class: a Python class is code"),
        ({"unsafe_code": True}, "evil.yaml: unsafe_code: it runs what the network writes"),
        ({"use_prompt": "promptsource:a"}, "evil.yaml: use_prompt: such prompts are templates"),
        ({"dataset_path": "FOLDER/evil.py"}, "evil.yaml: dataset_path: "),
        ({"dataset_path": "FOLDER"}, "evil.yaml: dataset_path: "),
        ({"dataset_path": "./evil.py"}, "evil.yaml: dataset_path: './evil.py' may hold more"),
        ({"dataset_path": "reference://x::FOLDER/d.jsonl"}, "is no name of a data set"),
        (
            {"dataset_kwargs": {"data_files": {"test": ["reference://x::FOLDER/d.jsonl"]}}},
            "data_files: 'reference://x::",
        ),
        ({"dataset_kwargs": {"storage_options": {"a": 1}}}, "dataset_kwargs: storage_options"),
        ({"metric_list": [{"metric": "FOLDER/evil_metric.py"}]}, "none of lm-eval's own metrics"),
        ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, "hf_evaluate: metrics of the"),
    ],
)
def test_trust_values_that_become_code_are_refused(
    changes: dict[str, Any], said: str, folder: Path, write: Write, sentinel: Path
) -> None:
    write(**changes)
    assert said in refusal(folder)
    assert not sentinel.exists()
    members = json.dumps([{**GOOD, "dataset_kwargs": {}, **changes}])
    group = folder / "evil.yaml"
    group.write_text(f"group: evil\ntask: {members}".replace("FOLDER", str(folder)))
    assert said in refusal(folder), "in the group's own words"
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"test_split": "none"},
        {"metric_list": [{}]},
        {"doc_to_text": "{{nobody}}"},
        {"doc_to_text": "{{"},
        {"doc_to_choice": "no list"},
        {"output_type": "other"},
        {"output_typ": "loglikelihood"},
        {"filter_list": [{"name": "a"}]},
        {"filter_list": [{"name": "a", "filter": [{"function": "b"}]}]},
        {"dataset_kwargs": {"data_files": {"test": "/none.jsonl"}}},
        {"task": "../../evil"},
    ],
)
def test_trust_what_makes_no_task_is_one_line(
    changes: dict[str, Any], folder: Path, write: Write
) -> None:
    write(**changes)
    name = changes.get("task", "evil")
    with pytest.raises(ValueError) as refused:
        load_tasks([name], str(folder), None)
    assert "\n" not in str(refused.value) and "eval.tasks=" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["task: evil\n  doc_to_text: [", "a: !!bool x", "a: !!int ''", "a: !!timestamp x"]
)
def test_trust_a_file_that_is_no_yaml_is_named(text: str, folder: Path) -> None:
    (folder / "evil.yaml").write_text(text)
    assert "evil.yaml: not YAML" in refusal(folder)


def test_trust_is_asked_for_by_name(folder: Path, write: Write, sentinel: Path) -> None:
    write(more="process_results: !function utils.f", doc_to_text=ESCAPE)
    load_tasks(["evil"], str(folder), None, trusted=True)
    assert sentinel.exists()
    sentinel.unlink()
    sys.modules.pop(str(folder / "utils"), None)
    refusal(folder)
    assert not sentinel.exists()


def test_trust_tasks_of_lm_evals_own_keep_their_functions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "qasper_bool"
    made: list[dict[str, Any]] = []

    class Made:
        task_name = own
        config = None

        def __init__(self, config: dict[str, Any]):
            made.append(config)

        def get_config(self, key: str) -> None:
            return None

        def set_config(self, key: str, value: Any) -> None:
            pass

        def set_fewshot_seed(self, seed: int) -> None:
            pass

    monkeypatch.setattr("lm_eval.tasks._factory.ConfigurableTask", Made)
    assert list(load_tasks([own], None, None)) == [own]
    assert callable(made[0]["process_docs"])

    group = folder / "mine.yaml"
    group.write_text(f"group: mine\ntask: [{{task: {own}, num_fewshot: 2}}]")
    monkeypatch.setattr("lm_eval.tasks._factory.Group.add", lambda self, child: None)
    load_tasks(["mine"], str(folder), None)
    assert callable(made[1]["process_docs"]) and made[1]["num_fewshot"] == 2
    group.write_text(f"group: mine\ntask: [{{task: {own}, dataset_path: json}}]")
    assert f"a group gives {own} another dataset_path; eval.trust_tasks" in refusal(folder, "mine")


def test_trust_another_version_of_lm_eval_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.4.12")
    with pytest.raises(ValueError, match=r"0\.4\.12 is installed; pip install lm-eval==0\.4\.13"):
        check_tasks(["arc_easy"])
