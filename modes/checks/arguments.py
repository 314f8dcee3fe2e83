"""The values of the command line that are paths or texts, no grammar; standard library only."""

import re
from collections.abc import Sequence
from pathlib import Path

from modes.settings import Settings
from schema.fields import walk

KINDS = {key: (setting.kind, setting.limits.written) for key, setting in walk(Settings)}
TEXTS = {key for key, (_, written) in KINDS.items() if written == "text"}
PATHS = [key for key, (_, written) in KINDS.items() if written == "path"]
LISTS = {  # may be lists of paths, also NAME:PATH
    key for key in PATHS if (kind := KINDS[key][0]) and kind.item
}
WORDS = {  # paths and names
    key for key, (kind, _) in KINDS.items() if kind and kind.types == {str} and not kind.choices
} - TEXTS
WITH_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package")
MULTIRUN = ("-m", "--multirun")
HELP = ("-h", "--help")

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
            path = Path(folder if equals else after).resolve()
            return [f"hydra.searchpath=[{_quoted(f'file://{path}')}]"]
    return []


def verbatim(arguments: Sequence[str]) -> list[str]:
    """Arguments in which paths, names and texts are quoted for Hydra where its grammar would read
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
    if key not in (*WORDS, *LISTS) or (sweep and _SWEEP.fullmatch(value)):
        return argument
    parts = _parts(value) if sweep else [value]
    return f"{plus}{key}={','.join(map(_path, parts))}"


def _parts(value: str) -> list[str]:
    """The parts between commas outside of quotes and interpolations."""
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
