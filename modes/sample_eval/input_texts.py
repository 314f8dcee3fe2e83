"""The texts of sampling.texts, which self-correction starts from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from data.tokenizers import Tokenizer
from evaluation import samples_file
from evaluation.files import parse_json


class InputText(NamedTuple):
    """A text of a file with the file and line for messages; its tokens and the digest of their
    tokenizer, where the file has them."""

    where: str
    text: str
    tokens: Any = None
    tokenizer: str | None = None


def read_json(file: Path) -> list[InputText]:
    """The samples of a file of an earlier sample_eval."""
    try:
        samples = samples_file.read(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"sampling.texts={file}: {error}") from error
    texts = []
    for number, row in enumerate(samples.rows, start=1):
        where = f"sampling.texts={file} sample {number}"
        text = _text_of(row, where)
        texts.append(InputText(where, text, row.get("tokens"), samples.tokenizer))
    return texts


def read_jsonl(file: Path) -> list[InputText]:
    """The value of `text` in each line that is not blank."""
    texts = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        where = f"sampling.texts={file} line {number}"
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        texts.append(InputText(where, _text_of(row, where)))
    return texts


def read_txt(file: Path) -> list[InputText]:
    """One text per line that is not empty."""
    try:
        lines = file.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise ValueError(
            f"sampling.texts={file} line {number}: not UTF-8 ({error.reason})"
        ) from error
    stripped = (line.removesuffix("\r") for line in lines)
    return [
        InputText(f"sampling.texts={file} line {number}", line)
        for number, line in enumerate(stripped, start=1)
        if line
    ]


READERS: dict[str, Callable[[Path], list[InputText]]] = {
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".txt": read_txt,
}


def _text_of(row: Any, where: str) -> str:
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{where}: no text under the key `text`")
    return text


def read_texts(file: Path, tokenizer: Tokenizer, start: list[int], longest: int) -> list[list[int]]:
    """The tokens of each text of a file, `start` in front where it is not there already.

    Samples of the same tokenizer are taken by their tokens, since their text need not show them
    all. ValueError names a text without tokens, or with more than `longest`."""
    texts = READERS[file.suffix](file)
    if not texts:
        raise ValueError(f"sampling.texts={file}: there is no text in it")
    return [_with_start(text, tokenizer, start, longest) for text in texts]


def _with_start(text: InputText, tokenizer: Tokenizer, start: list[int], longest: int) -> list[int]:
    tokens = _tokens(text, tokenizer)
    tokens = tokens if tokens[: len(start)] == start else start + tokens
    if len(tokens) == len(start):
        raise ValueError(f"{text.where}: there is no token in it")
    if len(tokens) > longest:
        bos = " with BOS" if start else ""
        raise ValueError(
            f"{text.where}: {len(tokens)} tokens{bos}, at most model.length={longest} fit"
        )
    return tokens


def _tokens(text: InputText, tokenizer: Tokenizer) -> list[int]:
    if text.tokenizer != tokenizer.digest:
        try:
            return [int(i) for i in tokenizer.encode_batch([text.text])[0]]
        except ValueError as error:
            raise ValueError(f"{text.where}: {error}") from error
    mask, tokens = tokenizer.vocab_size, text.tokens
    ids = isinstance(tokens, list) and all(isinstance(i, int) and 0 <= i <= mask for i in tokens)
    if not ids:
        raise ValueError(f"{text.where}: its tokens are not ids from 0 to {mask}")
    return list(tokens)
