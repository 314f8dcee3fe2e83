"""The papers' numbers, each with its source."""

import csv
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

RESULTS = Path(__file__).with_name("results.csv")
SOURCES = Path(__file__).with_name("sources.csv")
READ: dict[type, Callable[[str], Any]] = {int: int, float: float, bool: "true".__eq__, str: str}


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
    hints = get_type_hints(Published).items()
    read = {name: READ[(get_args(hint) or (hint,))[0]] for name, hint in hints}
    with RESULTS.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = [
            {key: read[key](text) if text else None for key, text in row.items()}
            for row in csv.DictReader(file)
        ]
    return tuple(Published(**row) for row in rows)


@functools.cache
def titles() -> Mapping[str, str]:
    """Titles of the papers by arXiv number."""
    with SOURCES.open(encoding="utf-8", newline="") as file:
        return {row["arxiv"]: row["title"] for row in csv.DictReader(file)}
