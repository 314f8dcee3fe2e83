"""What of a command line is a path or a text and no grammar; only the standard library."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATHS = (  # every key that holds a path, or a name of the Hub in its place
    "checkpointing.save_dir",
    "data.cache_dir",
    "data.path",
    "data.tokenizer_name_or_path",
    "data.valid_path",
    "eval.checkpoint_path",
    "eval.gen_ppl_eval_model_name_or_path",
    "eval.output_dir",
    "eval.tasks_path",
    "results_dir",
    "sampling.tasks",
    "sampling.texts",
    "training.finetune_path",
)
LISTS = ("eval.corpora", "results_dir")  # may be lists of paths, also NAME:PATH
SPLITS = ("data.train_split", "data.valid_split")  # such as train[:-100]
TEXTS = ("sampling.infill", "sampling.prompt")  # their dollar signs are dollar signs
WITH_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package")
MULTIRUN = ("-m", "--multirun")

_OVERRIDE = re.compile(r"(\+{0,2})([A-Za-z_][\w.]*)=(.*)", re.DOTALL)
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%-]+")  # what Hydra's grammar reads as it is
_SWEEP = re.compile(r"(choice|glob|interval|range|shuffle|sort|tag)\(.*\)")
_PART = re.compile(r"""(?:'[^']*'|"[^"]*"|\$\{[^}]*\}|[^,])+""", re.DOTALL)


def overrides_of(arguments: Sequence[str]) -> list[str]:
    """The arguments that say something about keys: no flags, no values of flags."""
    kept = []
    for before, text in zip(["", *arguments], arguments, strict=False):
        if not text.startswith("-") and before not in WITH_VALUE:
            kept.append(text)
    return kept


def flags_first(arguments: Sequence[str]) -> list[str]:
    """-m before the overrides, between which Hydra does not take it."""
    return sorted(arguments, key=lambda text: text not in MULTIRUN)


def own_configs(arguments: Sequence[str]) -> list[str]:
    """An override by which a composition looks into the folder of --config-dir too."""
    for text, after in zip(arguments, [*arguments, ""][1:], strict=True):
        flag, equals, folder = text.partition("=")
        if flag in ("--config-dir", "-cd"):
            place = Path(folder if equals else after).resolve()
            return [f"hydra.searchpath=[{_quoted(f'file://{place}')}]"]
    return []


def verbatim(arguments: Sequence[str]) -> list[str]:
    """Arguments in which paths, splits and texts are quoted for Hydra where its grammar would read
    something else into them; quoted and null ones stay, and `${...}` in a path."""
    sweep = any(flag in arguments for flag in MULTIRUN)
    taken = set(overrides_of(arguments))
    return [_verbatim(text, sweep) if text in taken else text for text in arguments]


def _verbatim(argument: str, sweep: bool) -> str:
    match = _OVERRIDE.fullmatch(argument)
    if match is None:
        return argument
    plus, key, value = match.groups()
    if value in ("", "null") or _QUOTED.fullmatch(value):
        return argument
    if key in TEXTS:
        # OmegaConf reads \${ as a dollar sign; a backslash counts before it.
        text = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
        return f"{plus}{key}={_quoted(text)}"
    if key in LISTS and value.startswith("[") and value.endswith("]"):
        inner = value[1:-1]
        listed = ",".join(_path(part.strip()) for part in _parts(inner) if part.strip())
        return f"{plus}{key}=[{listed}]"
    if key not in (*PATHS, *LISTS, *SPLITS) or (sweep and _SWEEP.fullmatch(value)):
        return argument
    parts = _parts(value) if sweep else [value]
    return f"{plus}{key}={','.join(map(_path, parts))}"


def _parts(value: str) -> list[str]:
    """What commas outside of quotes and interpolations separate."""
    return [match.group() for match in _PART.finditer(value)] or [value]


def _path(text: str) -> str:
    """One path as Hydra reads a text; numbers, true and null are names of files too."""
    if _QUOTED.fullmatch(text) or text == "null":
        return text
    if _PLAIN.fullmatch(text) and not _is_literal(text):
        return text
    return _quoted(text)


def _is_literal(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "null")
    return True


def _quoted(text: str) -> str:
    # Hydra reads \" as a quote; a backslash counts before it and at the end.
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    text = re.sub(r"(\\+)\Z", r"\1\1", text)
    return f'"{text}"'


def expanded(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` with the home folder in the place of `~` in every path, but for the cache: its
    default is no setting of the user's, and no record needs to say whose home it is in."""
    for key in {*PATHS, *LISTS} - {"data.cache_dir"}:
        *groups, name = key.split(".")
        node: Any = settings
        for group in groups:
            node = node.get(group) if isinstance(node, dict) else None
        if isinstance(node, dict) and name in node:
            node[name] = _expanded(node[name])
    return settings


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(one) for one in value]
    if not isinstance(value, str):
        return value
    before, tilde, path = value.rpartition(":~")  # NAME:PATH of a list
    before, path = (f"{before}:", f"~{path}") if tilde else ("", value)
    # Not of pathlib, which has no answer for a user without a home and takes ./ from ./name.
    return before + os.path.expanduser(path)  # noqa: PTH111
