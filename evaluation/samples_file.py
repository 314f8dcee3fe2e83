"""The JSON file of samples that mode=sample_eval writes: its writer and its reader."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.tokenizers import Tokenizer
from evaluation.files import parse_json, write_stamped


class Correction(NamedTuple):
    """The tokens before self-correction, the self-accuracy before and after, the steps made."""

    tokens: list[int]
    before: float
    after: float
    steps: int


class Text(NamedTuple):
    """A finished text, and what self-correction changed, where it was on."""

    tokens: list[int]
    correction: Correction | None = None


class Samples(NamedTuple):
    """The rows of a file as they are there, none of them checked, and the digest of the tokenizer
    of their ids."""

    rows: list[Any]
    tokenizer: Any


def write_samples(
    folder: Path,
    name: str,
    options: dict[str, Any],
    texts: Sequence[Text],
    tasks: Sequence[str | int | None],
    tokenizer: Tokenizer,
) -> Path:
    """The path of a new file with the texts, their tokens and the ids of their `tasks`, those
    before a correction beside those after; its name has the time and a digest of the content."""
    rows = [_row(text, task, tokenizer) for text, task in zip(texts, tasks, strict=True)]
    content = json.dumps(
        {"sampling": options, "tokenizer": tokenizer.digest, "samples": rows}, ensure_ascii=False
    )
    return write_stamped(folder, name, ".json", content)


def _row(text: Text, task: str | int | None, tokenizer: Tokenizer) -> dict[str, Any]:
    row: dict[str, Any] = {"text": tokenizer.decode(text.tokens), "tokens": text.tokens}
    row |= {} if task is None else {"task": task}
    if text.correction is None:
        return row
    tokens, before, after, steps = text.correction
    return row | {
        "uncorrected": {"text": tokenizer.decode(tokens), "tokens": tokens},
        "self_accuracy": [before, after],
        "correction_steps": steps,
    }


def read(content: bytes) -> Samples:
    """The samples of a file; ValueError for content that is none."""
    whole = parse_json(content)
    rows = whole.get("samples") if isinstance(whole, dict) else None
    if not isinstance(rows, list):
        raise ValueError("not a file of samples (it has no list `samples`)")
    return Samples(rows, whole.get("tokenizer"))
