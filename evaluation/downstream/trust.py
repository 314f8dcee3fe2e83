"""Task files of a folder that nobody vouches for: plain data, whose templates see plain data alone.

lm-eval itself imports what a file names, and renders its templates with all of Python in reach."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import lm_eval.api.metrics  # fills the registry
import lm_eval.tasks
import lm_eval.utils
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment
from lm_eval.api import registry
from lm_eval.tasks._factory import TaskFactory
from lm_eval.tasks._index import Entry
from lm_eval.tasks._yaml_loader import load_yaml

from evaluation.words import one_line

REMEDY = "eval.trust_tasks=true allows all that a folder says"
PACKAGE = Path(lm_eval.tasks.__file__).resolve().parent
CODE = {
    "class": "a Python class is code",
    "unsafe_code": "it runs what the network writes",
    "use_prompt": "such prompts are templates from outside the folder",
    "hf_evaluate": "metrics of the library evaluate are code",
}
READERS = {"json", "csv", "parquet", "text", "arrow"}
READING = {
    "data_files",
    "data_dir",
    "delimiter",
    "encoding",
    "field",
    "revision",
    "split",
    "trust_remote_code",  # lm-eval drops it
    "verification_mode",
}
DATA_PATH = re.compile(r"(?!.*::)((https?|hf)://|(?![a-z0-9+.-]+:/)).*", re.IGNORECASE | re.DOTALL)
# Of a task of lm-eval's own within a group of the folder: its functions read nothing but its data.
ADJUSTED = {"task", "task_alias", "tag", "num_fewshot", "description", "metadata", "repeats"}
PLAIN = str, bytes, int, float, list, tuple, dict, set, date, time, timedelta, jinja2.Undefined

_TEMPLATES = lm_eval.utils.env


class Refused(ValueError):
    """Content that needs trust, with the file and the key."""


class PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """lm-eval's own reader of YAML, since two readers could take one file for two things; for the
    tags of YAML alone."""

    def refuse(self, node: yaml.Node) -> NoReturn:
        why = f"it names code; {REMEDY}" if node.tag == "!function" else "lm-eval knows no such tag"
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        raise Refused(f"line {node.start_mark.line + 1}: {tag}: {why}")


PlainLoader.add_constructor(None, PlainLoader.refuse)  # of every other tag


class Sandbox(ImmutableSandboxedEnvironment):
    """lm-eval's environment of templates, which may look into plain data and change nothing."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        plain = isinstance(obj, PLAIN) or type(obj).__module__.startswith("jinja2.")
        return plain and super().is_safe_attribute(obj, attr, value)


def render_in_sandbox(trusted: bool) -> None:
    """From here on, all templates of this process; `trusted` gives back lm-eval's own way."""
    if trusted:
        lm_eval.utils.env = _TEMPLATES
        return
    sandbox = Sandbox(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    sandbox.filters |= {"regex_replace": lm_eval.utils.regex_replace}
    lm_eval.utils.env = sandbox


@contextmanager
def rendering(what: str) -> Iterator[None]:
    """Makes a template that cannot be rendered, or may not, a ValueError that begins with
    `what`."""
    try:
        yield
    except jinja2.exceptions.SecurityError as error:
        raise ValueError(f"{what}: a template does more than templates may ({error})") from error
    except jinja2.TemplateError as error:
        raise ValueError(f"{what}: a template of it cannot be rendered ({error})") from error


class PlainFactory(TaskFactory):
    """Makes tasks of what files say, and functions of lm-eval's own files alone."""

    def __init__(self) -> None:
        super().__init__()
        self.within_folder = False  # whether a group of the folder asks for what is built

    def build(
        self, entry: Entry, *, overrides: dict[str, Any] | None = None, registry: dict[str, Entry]
    ) -> Any:
        changed = sorted(set(overrides or {}) - ADJUSTED)
        if self.within_folder and changed and not _of_folder(entry):
            raise Refused(f"a group gives {entry.name} another {changed[0]}; {REMEDY}")
        outer = self.within_folder
        if entry.yaml_path is not None:  # a tag has no file: what it stands for is asked in turn
            self.within_folder = _of_folder(entry)
        try:
            return super().build(entry, overrides=overrides, registry=registry)
        finally:
            self.within_folder = outer

    def _load_full_config(
        self, entry: Entry, overrides: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        if entry.yaml_path is None or not _of_folder(entry):
            return super()._load_full_config(entry, overrides)
        check_tags(entry.yaml_path, set())
        content = load_yaml(entry.yaml_path, resolve_func=False)
        check_values(content, entry.yaml_path)
        plain = Entry(entry.name, entry.kind, None, content, entry.tags)
        return super()._load_full_config(plain, overrides)


def check_folder(folder: Path, name: str) -> None:
    """ValueError for a file that lm-eval leaves out of its list, since it cannot be read: the task
    `name`, which is not in the list, may be that one."""
    seen: set[Path] = set()
    for file in sorted(folder.rglob("*.yaml")):
        try:
            check_tags(file, seen)
        except (Refused, OSError) as error:
            raise ValueError(f"eval.tasks={name}: there is none; {error}") from error


def check_tags(file: Path, seen: set[Path]) -> None:
    """ValueError that names the file and the line, for a tag that makes an object of what it stands
    at, here or in a file that is included; those of `seen` were looked at."""
    file = file.expanduser().resolve()
    if file in seen:
        return
    seen.add(file)
    try:
        content = yaml.load(file.read_bytes(), PlainLoader)
    except Refused as error:
        raise Refused(f"{file}: {error}") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # of its types too
        raise Refused(f"{file}: not YAML ({one_line(error)})") from error
    listed = content.get("include") if isinstance(content, dict) else None
    for include in listed if isinstance(listed, list) else [listed]:
        if isinstance(include, str):
            check_tags(file.parent / include, seen)  # an absolute one stays as it is


def check_values(content: Any, file: Path) -> None:
    """ValueError that names the file and the key, for plain values that lm-eval makes code of."""
    for key, value in _pairs(content, set()):
        reason = _refused(key, value)
        if reason is not None:
            raise Refused(f"{file}: {key}: {reason}; {REMEDY}")


def _pairs(content: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every key of every mapping in the content, with its value."""
    if not isinstance(content, dict | list) or id(content) in seen:
        return
    seen.add(id(content))
    if isinstance(content, dict):
        yield from content.items()
    for inner in content.values() if isinstance(content, dict) else content:
        yield from _pairs(inner, seen)


def _refused(key: str, value: Any) -> str | None:
    """Why this value may not be there, None where it may."""
    if key in CODE and value:
        return CODE[key]
    if key == "dataset_path":
        return _refused_data(value)
    if key == "dataset_kwargs" and isinstance(value, dict):
        more = sorted(map(str, set(value) - READING))
        return f"{more[0]}: only {', '.join(sorted(READING))} are read" if more else None
    if key in ("data_files", "data_dir"):
        far = [path for path in _texts(value) if not DATA_PATH.fullmatch(path)]
        return f"{far[0]!r} is neither a path nor an https or hf address" if far else None
    if key == "metric_list":
        return _refused_metric(value)
    return None


def _refused_data(path: Any) -> str | None:
    if path in READERS:
        return None
    if not isinstance(path, str) or path.endswith(".py") or Path(path).expanduser().exists():
        return f"{path!r} may hold more than data; name {', '.join(sorted(READERS))} and data_files"
    return None if DATA_PATH.fullmatch(path) else f"{path!r} is no name of a data set"


def _refused_metric(listed: Any) -> str | None:
    for metric in listed if isinstance(listed, list) else [listed]:
        name = metric.get("metric") if isinstance(metric, dict) else metric
        if name not in registry.metric_registry:
            return f"{name!r} is none of lm-eval's own metrics, it would be fetched as code"
    return None


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [str(value)]


def _of_folder(entry: Entry) -> bool:
    return entry.yaml_path is not None and not entry.yaml_path.resolve().is_relative_to(PACKAGE)
