"""The keys of `data`, by the kind of corpus, and of `loader`; only the standard library."""

from dataclasses import dataclass
from typing import Literal

from schema.fields import field

TOKENS = 10**12
Detokenizer = Literal["lambada", "lm1b", "ptb", "scientific_papers", "wikitext"]


@dataclass(frozen=True)
class Data:
    """The settings of every corpus."""

    name: str = field("", "of the text, in records, tables and folders", written="name")
    corpus: str = field("", "the kind of corpus")
    tokenizer_name_or_path: str | None = field(
        "bytes", "bytes, text8, a Hub name or a folder", written="path"
    )
    packing: Literal["pad", "wrap"] = field(
        "wrap", "wrap: blocks of the stream; pad: one document per block"
    )
    framing: Literal["bos", "bos-eos", "none"] = field(
        "bos", "bos: never noised, never scored; bos-eos: as MDLM and DUO"
    )
    insert_eos: bool = field(True, "an EOS after every document")
    drop_last: bool = field(False, "wrap: leave out the final partial block, as the papers do")
    crop: Literal["random", "start"] = field(
        "random", "pad: random (GIDD) or start (LM1B) window of longer documents"
    )
    cache_dir: str = field("~/.cache/discrete-diffusion", "of token files", written="path")
    num_proc: int = field(
        1,
        "1: the tokenizer library's threads; more: that many processes",
        at_least=1,
        at_most=1024,
    )
    max_eval_blocks: int | None = field(
        None, "evaluate on this many evenly spaced blocks only", at_least=1, at_most=TOKENS
    )
    verify: Literal["full", "sample"] = field(
        "sample", "token files at opening: above 1 GiB some of their pages, or full"
    )


def _files(value: object) -> str | None:
    good = value is None or (
        isinstance(value, dict)
        and value
        and all(isinstance(text, str) and text for pair in value.items() for text in pair)
    )
    return None if good else "must be patterns by split, such as {train: 'train/*.parquet'}"


@dataclass(frozen=True)
class Hub(Data):
    corpus: str = field("hub", "a dataset of the Hub, or a local folder laid out like it")
    tokenizer_name_or_path: str | None = field(
        "gpt2", "bytes, text8, a Hub name or a folder", written="path"
    )
    path: str | None = field(None, "the dataset, USER/NAME, or a local folder", written="path")
    config: str | None = field(None, "its configuration")
    revision: str | None = field(None, "its revision")
    files: dict[str, str] | None = field(None, "patterns of its files by split", rule=_files)
    train_split: str | None = field("train", 'or a part of it: "train[:-1000]"')
    valid_split: str = field("validation", 'or "train[-1000:]"')
    text_key: str = field("text", "the column of texts")
    detokenizer: Detokenizer | None = field(None, "undoes the tokenization of the published text")


@dataclass(frozen=True)
class Markov(Data):
    name: str = field("markov", "of the text, in records, tables and folders", written="name")
    corpus: str = field("markov", "a language of known entropy, for the oracle")
    tokenizer_name_or_path: str | None = field(
        None, "null: the symbols of the language", written="path"
    )
    insert_eos: bool = field(False, "an EOS after every document")
    states: int = field(16, "symbols of the language", at_least=2, at_most=65536)
    order: int = field(1, "symbols that the next one depends on", at_least=1, at_most=64)
    concentration: float = field(
        0.3, "of the Dirichlet rows; smaller is more predictable", above=0, at_most=1_000_000
    )
    language_seed: int = field(0, "seed of the language", at_least=0, at_most=2**63 - 1)
    train_tokens: int = field(1_000_000, "tokens to train on", at_least=1, at_most=TOKENS)
    valid_tokens: int = field(100_000, "tokens to validate on", at_least=1, at_most=TOKENS)


@dataclass(frozen=True)
class Shakespeare(Data):
    name: str = field("shakespeare", "of the text, in records, tables and folders", written="name")
    corpus: str = field("shakespeare", "tinyshakespeare, which comes with the project")
    train_characters: int | None = field(
        None,
        "train on the first so many alone; null: on nine tenths of the text",
        at_least=1,
        at_most=1_003_854,
    )


@dataclass(frozen=True)
class Stdlib(Data):
    name: str = field("stdlib", "of the text, in records, tables and folders", written="name")
    corpus: str = field("stdlib", "the running Python's own standard library")
    valid_fraction: float = field(
        0.05, "held out of the files, by the hash of their content", within="(0, 1)"
    )


@dataclass(frozen=True)
class Text(Data):
    name: str = field("text", "of the text, in records, tables and folders", written="name")
    corpus: str = field("text", "your own txt, jsonl (also .gz, .xz) or parquet files")
    path: str | None = field(None, "the file or folder", written="path")
    valid_path: str | None = field(None, "held-out text; null: a part of path", written="path")
    text_key: str = field("text", "of jsonl and parquet rows")
    valid_split: Literal["hash", "tail"] = field(
        "tail",
        "tail: the end of the text, by characters; hash: whole documents",
    )
    valid_fraction: float = field(0.1, "how much is held out", within="(0, 1)")


CORPORA: dict[str, type] = {cls().corpus: cls for cls in (Stdlib, Shakespeare, Text, Hub, Markov)}


@dataclass(frozen=True)
class Loader:
    global_batch_size: int = field(
        32, "sequences per optimizer step, over all devices", at_least=1, at_most=2**24
    )
    batch_size: int | None = field(
        None,
        "sequences per device and pass, the rest is accumulated; null: no accumulation",
        at_least=1,
        at_most=2**24,
    )
    eval_batch_size: int = field(
        64, "sequences per device of evaluation and sampling", at_least=1, at_most=2**24
    )
    num_workers: int = field(0, "threads that cut batches ahead of time", at_least=0, at_most=256)
