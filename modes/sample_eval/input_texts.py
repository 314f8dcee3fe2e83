"""Texts of a sample_eval: read from a file to be corrected, and written with their tokens."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.tokenizers import Tokenizer
from storage import write_atomic


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


class Given(NamedTuple):
    """A text of a file: where it stands there; its tokens and the digest of their tokenizer, where
    it has them."""

    place: str
    text: str
    tokens: Any = None
    tokenizer: str | None = None


def of_samples(file: Path) -> list[Given]:
    """The samples of a file that `write_samples` made."""
    content = _json(file.read_bytes(), f"sampling.texts={file}")
    samples = content.get("samples") if isinstance(content, dict) else None
    if not isinstance(samples, list):
        raise ValueError(f"sampling.texts={file}: not a file of samples (it has no list `samples`)")
    found = []
    for number, sample in enumerate(samples, start=1):
        place = f"sampling.texts={file} sample {number}"
        tokens = sample.get("tokens") if isinstance(sample, dict) else None
        found.append(Given(place, _text_of(sample, place), tokens, content.get("tokenizer")))
    return found


def of_rows(file: Path) -> list[Given]:
    """The value of `text` in each line."""
    found = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        place = f"sampling.texts={file} line {number}"
        if not line.strip():
            continue
        found.append(Given(place, _text_of(_json(line, place), place)))
    return found


def of_lines(file: Path) -> list[Given]:
    """One text per line; empty lines are none."""
    try:
        lines = file.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise ValueError(
            f"sampling.texts={file} line {number}: not UTF-8 ({error.reason})"
        ) from error
    stripped = [line.removesuffix("\r") for line in lines]
    places = [f"sampling.texts={file} line {number}" for number in range(1, len(lines) + 1)]
    return [Given(place, line) for place, line in zip(places, stripped, strict=True) if line]


READERS: dict[str, Callable[[Path], list[Given]]] = {
    ".json": of_samples,
    ".jsonl": of_rows,
    ".txt": of_lines,
}


def _json(content: bytes, place: str) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: not JSON ({error})") from error


def _text_of(row: Any, place: str) -> str:
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{place}: no text under the key `text`")
    return text


def read_texts(
    file: Path, tokenizer: Tokenizer, prompt: list[int], longest: int
) -> list[list[int]]:
    """The tokens of each text of a file, `prompt` in front where it is not there already.

    Samples that the same tokenizer made are taken by their tokens: text may not say them all.
    ValueError names a text without tokens, or with more than `longest`."""
    given = READERS[file.suffix](file)
    if not given:
        raise ValueError(f"sampling.texts={file}: there is no text in it")
    return [_row(one, tokenizer, prompt, longest) for one in given]


def _row(one: Given, tokenizer: Tokenizer, prompt: list[int], longest: int) -> list[int]:
    row = _tokens(one, tokenizer)
    row = row if row[: len(prompt)] == prompt else prompt + row
    if len(row) == len(prompt):
        raise ValueError(f"{one.place}: there is no token in it")
    if len(row) > longest:
        begun = " with BOS" if prompt else ""
        raise ValueError(
            f"{one.place}: {len(row)} tokens{begun}, at most model.length={longest} fit"
        )
    return row


def _tokens(one: Given, tokenizer: Tokenizer) -> list[int]:
    if one.tokenizer != tokenizer.digest:
        try:
            return [int(i) for i in tokenizer.encode_batch([one.text])[0]]
        except ValueError as error:
            raise ValueError(f"{one.place}: {error}") from error
    mask, tokens = tokenizer.vocab_size, one.tokens
    ids = isinstance(tokens, list) and all(isinstance(i, int) and 0 <= i <= mask for i in tokens)
    if not ids:
        raise ValueError(f"{one.place}: its tokens are not ids from 0 to {mask}")
    return list(tokens)


def write_samples(
    folder: Path,
    name: str,
    options: dict[str, Any],
    texts: Sequence[Text],
    names: Sequence[str | int | None],
    tokenizer: Tokenizer,
) -> Path:
    """A JSON file of texts and tokens with the names of their tasks, those before a correction
    beside those after; its own name says time and content."""
    samples = [_sample(*one, tokenizer) for one in zip(texts, names, strict=True)]
    made = {"sampling": options, "tokenizer": tokenizer.digest, "samples": samples}
    content = json.dumps(made, ensure_ascii=False)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    mark = hashlib.sha256(content.encode()).hexdigest()[:8]
    file = folder / f"{stamp}-{name}-{mark}.json"
    write_atomic(file, content)
    return file


def _sample(text: Text, name: str | int | None, tokenizer: Tokenizer) -> dict[str, Any]:
    sample: dict[str, Any] = {"text": tokenizer.decode(text.tokens), "tokens": text.tokens}
    sample |= {} if name is None else {"task": name}
    if text.correction is None:
        return sample
    first, before, after, steps = text.correction
    return sample | {
        "uncorrected": {"text": tokenizer.decode(first), "tokens": first},
        "self_accuracy": [before, after],
        "correction_steps": steps,
    }
