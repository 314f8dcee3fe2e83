"""The texts that are asked for: batches of one length, with the tokens that are given in each."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from algos.facts import facts_of
from data import infill
from data.infill import InfillTask
from data.order import by_length
from data.prompts import given_keys
from data.tokenizers import Tokenizer
from modes.sample_eval import input_texts
from modes.settings import Settings
from samplers.settings import Sampling
from storage import file_digest


class Batch(NamedTuple):
    """Texts of one length: their tokens, and which of them are given."""

    tokens: list[list[int]]
    fixed: list[list[bool]]


class Requests(NamedTuple):
    """Batches, the position of each of their texts in the output, whether anything is drawn, the
    ids of the tasks in the order of the output, and the fields of a record's protocol."""

    batches: list[Batch]
    order: list[int]
    draws: bool
    names: list[str | int | None]
    protocol: dict[str, Any]

    def in_order(self, values: Sequence[Any]) -> list[Any]:
        """Values of the texts, batch after batch, in the order of the output."""
        pairs = sorted(zip(self.order, values, strict=True), key=lambda pair: pair[0])
        return [value for _, value in pairs]


def read_requests(
    sampling: Sampling, size: int, run: Settings, tokenizer: Tokenizer, longest: int
) -> Requests:
    """The requests of `sampling`, `size` texts at a time, for a run with the settings `run`, in
    texts of at most `longest` tokens; ValueError in one line for what cannot be drawn."""
    start, causal = beginning(run, tokenizer), facts_of(run.algo.name).causal
    count = size * sampling.num_sample_batches
    if sampling.texts is not None:
        file = Path(sampling.texts)
        rows = input_texts.read_texts(file, tokenizer, start, longest)
        tasks = [InfillTask.after(start, row[len(start) :]) for row in rows]
        protocol: dict[str, Any] = {"texts": file_digest(file)}
    elif not given_keys(sampling):
        length = text_length(sampling, longest)
        blank = [tokenizer.vocab_size] * (length - len(start))
        tasks = [InfillTask.after(start, blank)] * count
        protocol = {"length": length}
    else:
        text_length(sampling, longest)
        tasks = infill.read_tasks(sampling, tokenizer, start, longest, causal)
        content = json.dumps([[task.tokens, task.fixed] for task in tasks])
        protocol = {"tasks": hashlib.sha256(content.encode()).hexdigest()}
        # A prompt is continued many times, a file's tasks are done num_sample_batches times each.
        repeats = count if sampling.tasks is None else sampling.num_sample_batches
        tasks = [task for task in tasks for _ in range(repeats)]
    groups = by_length([task.tokens for task in tasks], size)
    batches = [
        Batch([tasks[i].tokens for i in group], [tasks[i].fixed for i in group]) for group in groups
    ]
    order, names = [i for group in groups for i in group], [task.name for task in tasks]
    return Requests(batches, order, sampling.texts is None, names, protocol)


def text_length(sampling: Sampling, longest: int) -> int:
    """The tokens of a sample, at most `longest`."""
    length, tokens = sampling.length or longest, sampling.self_correction_tokens
    if not 2 <= length <= longest:
        raise ValueError(f"sampling.length={length}: between 2 and model.length={longest}")
    if tokens > length:
        raise ValueError(
            f"sampling.self_correction_tokens={tokens}: at most the length of a text, {length}"
        )
    return length


def beginning(settings: Settings, tokenizer: Tokenizer) -> list[int]:
    """The tokens that every text of the run begins with."""
    if settings.data.framing != "none":
        return [tokenizer.bos]
    if facts_of(settings.algo.name).causal:
        raise ValueError(
            "data.framing=none: an ar run without BOS has nothing to begin a text with"
        )
    return []
