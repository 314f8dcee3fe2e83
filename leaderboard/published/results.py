"""The papers' numbers, each with its source."""

import csv
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).with_name("results.csv")
SOURCES = Path(__file__).with_name("sources.csv")
INTEGERS = ("context_length", "train_steps", "train_tokens", "nfe", "num_samples")
NUMBERS = ("value", "nucleus_p", "entropy", "mauve", "self_accuracy")
FLAGS = {"true": True, "false": False}


class Published(NamedTuple):
    """One number of a paper. None is not stated; `doubt` is why it is held against nothing,
    `variant` what sets it apart from the algorithm's usual run, as keys of ours where it can be."""

    id: str
    algo: str
    variant: str | None
    model: str | None
    size: str | None
    params: str | None
    dataset: str
    split: str
    tokenizer: str
    context_length: int
    packing: bool | None
    train_dataset: str
    train_steps: int | None
    train_tokens: int | None
    metric: str
    value: float
    bound: bool
    sampler: str | None
    nfe: int | None
    nucleus_p: float | None
    sampling_precision: str | None
    num_samples: int | None
    judge_model: str | None
    entropy: float | None
    mauve: float | None
    self_accuracy: float | None
    arxiv: str
    location: str
    read_in: str
    doubt: str | None

    @property
    def source(self) -> str:
        """Paper and table."""
        return f"arXiv {self.arxiv}, {self.location}"

    @property
    def perplexity(self) -> float:
        """The number as a perplexity: bits per character are its logarithm."""
        return 2**self.value if self.metric == "bpc" else self.value


@functools.cache
def published() -> tuple[Published, ...]:
    """All of them, in the order of the file."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return tuple(Published(**_typed(row)) for row in csv.DictReader(file))


@functools.cache
def titles() -> Mapping[str, str]:
    """Titles of the papers by arXiv number."""
    with SOURCES.open(encoding="utf-8", newline="") as file:
        return {row["arxiv"]: row["title"] for row in csv.DictReader(file)}


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    typed: dict[str, Any] = {key: text or None for key, text in row.items()}
    for key, text in row.items():
        if text and key in INTEGERS:
            typed[key] = int(text)
        elif text and key in NUMBERS:
            typed[key] = float(text)
        elif text in FLAGS:
            typed[key] = FLAGS[text]
    return typed
