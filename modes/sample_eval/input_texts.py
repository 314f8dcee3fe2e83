"""The texts of sampling.texts, which self-correction starts from."""

from codecs import BOM_UTF8
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


def read_file(file: Path) -> list[InputText]:
    """The samples of a .json file of an earlier sample_eval, the value of `text` in each line of a
    .jsonl file, or each line of a .txt file; blank lines are none."""
    key, content = f"sampling.texts={file}", file.read_bytes().removeprefix(BOM_UTF8)
    if file.suffix == ".json":
        samples = _parsed(samples_file.read, content, key)
        rows = [(f"{key} sample {n}", row) for n, row in enumerate(samples.rows, start=1)]
        return [
            InputText(where, _text_of(row, where), row.get("tokens"), samples.tokenizer)
            for where, row in rows
        ]
    lines = [
        (f"{key} line {number}", line.removesuffix(b"\r"))
        for number, line in enumerate(content.split(b"\n"), start=1)
        if line.strip()
    ]
    if file.suffix == ".txt":
        return [InputText(where, _parsed(bytes.decode, line, where)) for where, line in lines]
    rows = [(where, _parsed(parse_json, line, where)) for where, line in lines]
    return [InputText(where, _text_of(row, where)) for where, row in rows]


def _parsed(parse: Callable[[bytes], Any], content: bytes, where: str) -> Any:
    try:
        return parse(content)
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 ({error.reason})") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _text_of(row: Any, where: str) -> str:
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{where}: no text under the key `text`")
    return text


def read_texts(file: Path, tokenizer: Tokenizer, start: list[int], longest: int) -> list[list[int]]:
    """The tokens of each text of a file, `start` in front where it is not there already.

    Samples of the same tokenizer are taken by their tokens, since their text need not show them
    all. ValueError names a text without tokens, or with more than `longest`."""
    texts = read_file(file)
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
