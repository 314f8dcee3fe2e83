"""Tasks of lm-eval by their names: its own, those of a folder, and the last word of the texts of a
file."""

import difflib
import importlib.util
from pathlib import Path
from typing import Any

from data.files import find_files, read_documents
from data.formats import whole

VERSION = "0.4.13"
FEWSHOT_SEED = 1234  # lm-eval's own: which examples stand in front of a question
LAST_WORD = "lambada_local"
# As lm-eval's lambada_openai, of a file's texts.
LAST_WORD_TASK: dict[str, Any] = {
    "task": LAST_WORD,
    "output_type": "loglikelihood",
    "test_split": "test",
    "doc_to_text": "{{text.split(' ')[:-1]|join(' ')}}",
    "doc_to_target": "{{' '+text.split(' ')[-1]}}",
    "metric_list": [
        {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
        {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
    ],
    "metadata": {"version": 1.0},
}


def check_tasks(options: dict[str, Any]) -> None:
    """ValueError in one line where lm-eval is not installed, and for settings that make no
    sense."""
    if importlib.util.find_spec("lm_eval") is None:
        raise ValueError(
            f"mode=downstream: lm-eval is not installed; pip install lm-eval=={VERSION}"
        )
    if not options["tasks"] or isinstance(options["tasks"], str):
        raise ValueError(
            f"eval.tasks={options['tasks']}: a list of lm-eval's tasks is needed, such as "
            f"[arc_easy,hellaswag]"
        )
    if options["limit"] is not None and options["limit"] < 1:
        raise ValueError(f"eval.limit={options['limit']}: must be at least 1 question a task")


def load_tasks(names: list[str], path: str | None, fewshot: int | None) -> dict[str, Any]:
    """lm-eval's tasks under the given names, tags and groups, their data read.

    `path` is a folder of task files, or a file of texts for the task lambada_local; `fewshot` is
    the number of examples in front of a question, None for the task's own. ValueError for a name
    that is not known and for data that cannot be read, OSError for a path that is not there."""
    from lm_eval.tasks import TaskManager

    place = None if path is None else Path(path).expanduser()
    if place is not None and not place.exists():
        raise FileNotFoundError(f"eval.tasks_path={path}: there is no such file or folder")
    folder = place if place is not None and place.is_dir() else None
    others = [name for name in names if name != LAST_WORD]
    # Its own tasks take it a quarter of a minute to list.
    manager = TaskManager(include_path=folder, include_defaults=False)
    if not set(others) <= set(manager.all_tasks):
        manager = TaskManager(include_path=folder)
    for name in others:
        if name not in manager.all_tasks:
            raise ValueError(unknown(name, manager.all_tasks))
    found: dict[str, Any] = {}
    for name in names:
        if name == LAST_WORD:
            found[name] = last_word_task(path, folder is not None)
        else:
            found |= _loaded(manager, name)
    for task in found.values():
        own = task.get_config("num_fewshot")
        if fewshot is not None and own != 0:  # a task that says 0 makes no sense with others
            own = fewshot
        task.set_config(key="num_fewshot", value=own or 0)
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return found


def unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, [*known, LAST_WORD], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"eval.tasks={name}: neither lm-eval {VERSION} nor eval.tasks_path has such a task{hint}"


def last_word_task(path: str | None, is_folder: bool) -> Any:
    """The last word of each text of a jsonl or parquet file, given the words before it."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    if path is None or is_folder:
        raise ValueError(
            f"eval.tasks={LAST_WORD}: needs eval.tasks_path, a jsonl or parquet file of texts "
            f"such as lambada_test.jsonl.xz"
        )
    (file,) = find_files(path, "eval.tasks_path")
    texts = [{"text": whole(text)} for text in read_documents(file, "text", "eval.tasks_path")]
    if not texts:
        raise ValueError(f"eval.tasks_path={path}: there is no text in it")

    def dataset(**_: Any) -> dict[str, Dataset]:
        return {"test": Dataset.from_list(texts)}

    return ConfigurableTask(config=LAST_WORD_TASK | {"custom_dataset": dataset})


def _loaded(manager: Any, name: str) -> dict[str, Any]:
    try:
        return manager.load([name])["tasks"]
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"eval.tasks={name}: its data cannot be read ({reason})") from error
