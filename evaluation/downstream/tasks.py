"""Tasks of lm-eval by their names: its own, those of a folder, and the last word of the texts of a
file."""

import difflib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from data.files import read_documents, search
from data.formats import whole
from data.hub_access import hub_or_cache
from data.tokenizer_files import first_line

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


def check_tasks(names: list[str] | None) -> list[str]:
    """The names of eval.tasks; ValueError in one line where lm-eval is not installed, and for
    none."""
    remedy = f"pip install lm-eval=={VERSION}"
    if importlib.util.find_spec("lm_eval") is None:
        raise ValueError(f"mode=downstream: lm-eval is not installed; {remedy}")
    installed = importlib.metadata.version("lm_eval")
    if installed != VERSION:  # records say the version, and tasks differ from one to the next
        raise ValueError(f"mode=downstream: lm-eval {installed} is installed; {remedy}")
    if not names:
        raise ValueError(
            f"eval.tasks={names}: a list of lm-eval's tasks is needed, such as [arc_easy,hellaswag]"
        )
    return names


def load_tasks(
    names: list[str], path: str | None, fewshot: int | None, trusted: bool = False
) -> dict[str, Any]:
    """lm-eval's tasks under the given names, tags and groups, their data read.

    `path` is a folder of task files, or a file of texts for the task lambada_local; `fewshot` is
    the number of examples in front of a question, None for the task's own. Nothing of the folder
    is run unless it is `trusted`. ValueError for a name that is not known, for data that cannot be
    read and for files that ask for code, OSError for a path that is not there."""
    from evaluation.downstream.trust import render_in_sandbox

    location = None if path is None else Path(path)
    if location is not None and not location.exists():
        raise FileNotFoundError(f"eval.tasks_path={path}: there is no such file or folder")
    folder = location if location is not None and location.is_dir() else None
    render_in_sandbox(trusted)
    manager = _manager([name for name in names if name != LAST_WORD], folder, trusted)
    tasks: dict[str, Any] = {}
    for name in names:
        if name == LAST_WORD:
            tasks[name] = last_word_task(path, folder is not None)
        else:
            tasks |= _loaded(manager, name)
    for name, task in tasks.items():
        _check_task(name, task)
        examples = task.get_config("num_fewshot")
        if fewshot is not None and examples != 0:  # a task of 0 makes no sense with others
            examples = fewshot
        task.set_config(key="num_fewshot", value=examples or 0)
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return tasks


def _manager(names: list[str], folder: Path | None, trusted: bool) -> Any:
    """lm-eval's finder of tasks, which knows all the names; ValueError for one that it does not."""
    from lm_eval.tasks import TaskManager

    from evaluation.downstream.trust import PlainFactory, check_folder

    # Its own tasks take it a quarter of a minute to list.
    manager = TaskManager(include_path=folder, include_defaults=False)
    groups = [{"task": (entry.cfg or {}).get("task")} for entry in manager.task_index.values()]
    grouped = [group for group in groups if isinstance(group["task"], list)]
    if not {*names, *_members(grouped)} <= set(manager.all_tasks):
        manager = TaskManager(include_path=folder)
    for name in names:
        if name not in manager.all_tasks:
            if folder is not None:
                check_folder(folder, name)
            raise ValueError(unknown(name, manager.all_tasks))
    if not trusted:
        manager._factory = PlainFactory()
    return manager


def _members(group: Any) -> Iterator[str]:
    """The names of a group's tasks, which may be lm-eval's own."""
    for member in group if isinstance(group, list) else []:
        if isinstance(member, str):
            yield member
        elif isinstance(member, dict) and isinstance(member.get("task"), str):
            yield member["task"]
        elif isinstance(member, dict):
            yield from _members(member.get("task"))


def _check_task(name: str, task: Any) -> None:
    """ValueError for a task whose name is no name, and for one that runs what the network
    writes."""
    if not all(letter.isprintable() and letter not in "/\\" for letter in name):
        raise ValueError(f"eval.tasks={name!r}: a name is one line of letters without / and \\")
    if getattr(task, "UNSAFE_CODE", False):
        raise ValueError(
            f"eval.tasks={name}: it runs the code that the network writes, which is not supported"
        )


def unknown(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, [*names, LAST_WORD], n=1)
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
    (file,) = search(path, "eval.tasks_path").files
    texts = [{"text": whole(text)} for text in read_documents(file, "text", "eval.tasks_path")]
    if not texts:
        raise ValueError(f"eval.tasks_path={path}: there is no text in it")

    def dataset(**_: Any) -> dict[str, Dataset]:
        return {"test": Dataset.from_list(texts)}

    return ConfigurableTask(config=LAST_WORD_TASK | {"custom_dataset": dataset})


def _loaded(manager: Any, name: str) -> dict[str, Any]:
    """The tasks of that name; ValueError in one line for whatever is wrong with what they say."""
    from datasets.exceptions import DatasetsError
    from yaml import YAMLError

    from evaluation.downstream.trust import READERS, Refused, rendering

    key = f"eval.tasks={name}"
    path = (manager.task_index[name].cfg or {}).get("dataset_path")
    with rendering(key), nullcontext() if path in READERS else hub_or_cache() as unreachable:
        try:
            return manager.load([name])["tasks"]
        except Refused as error:
            raise ValueError(f"{key}: {error}") from error
        except (OSError, ValueError, RuntimeError, DatasetsError) as error:
            reason = unreachable if isinstance(error, ConnectionError) else None
            raise ValueError(f"{key}: it cannot be read ({reason or first_line(error)})") from error
        except (TypeError, LookupError, AttributeError, SyntaxError, YAMLError) as error:
            # Raised by lm-eval where a file lacks a key, or has one of another type.
            what = f"{type(error).__name__}: {first_line(error)}"
            raise ValueError(f"{key}: lm-eval makes no task of it ({what})") from error
