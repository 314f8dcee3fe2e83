"""What is drawn: batches of texts of one length, with the tokens that are given in each."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from algos.facts import facts_of
from data import infill
from data.infill import Task
from data.order import by_length
from data.tokenizers import Tokenizer
from modes import build
from modes.sample_eval import input_texts


class Batch(NamedTuple):
    """Texts of one length: their tokens, and which of them are given."""

    tokens: list[list[int]]
    fixed: list[list[bool]]


class Plan(NamedTuple):
    """The batches, the places of their texts in the output, whether anything is drawn, and what a
    record says of them."""

    batches: list[Batch]
    order: list[int]
    draws: bool
    names: list[str | int | None]  # of the tasks, in the order of the output
    protocol: dict[str, Any]


def plan(settings: build.Settings, run: build.Settings, tokenizer: Tokenizer, longest: int) -> Plan:
    """What `settings` ask for, with a run's own `run`; ValueError in one line for what makes no
    sense."""
    options, start = settings["sampling"], beginning(run, tokenizer)
    size, begins = settings["loader"]["eval_batch_size"], len(start)
    if options["texts"] is not None:
        file = Path(options["texts"])
        rows = input_texts.read_texts(file, tokenizer, start, longest)
        given = [Task(row, [i < begins for i in range(len(row))]) for row in rows]
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return Plan(*in_batches(given, size), False, names(given), {"texts": digest})
    count = size * options["num_sample_batches"]
    if not any(options[key] is not None for key in ("prompt", "infill", "tasks")):
        length = text_length(options, longest)
        blank = [tokenizer.vocab_size] * (length - begins)
        task = Task(start + blank, [i < begins for i in range(length)])
        every = [task] * count
        return Plan(*in_batches(every, size), True, names(every), {"length": length})
    text_length(options, longest)
    causal = facts_of(run["algo"]["name"]).causal
    wanted = infill.read_tasks(options, tokenizer, start, longest, causal)
    # A prompt is continued many times, a file's tasks are done num_sample_batches times each.
    repeats = count if options["tasks"] is None else options["num_sample_batches"]
    said = json.dumps([[task.tokens, task.fixed] for task in wanted])
    protocol = {"tasks": hashlib.sha256(said.encode()).hexdigest()}
    every = [task for task in wanted for _ in range(repeats)]
    return Plan(*in_batches(every, size), True, names(every), protocol)


def names(wanted: Sequence[Task]) -> list[str | int | None]:
    return [task.name for task in wanted]


def in_batches(wanted: Sequence[Task], size: int) -> tuple[list[Batch], list[int]]:
    """Batches of up to `size` texts of one length, and the place of each text in `wanted`."""
    places = by_length([task.tokens for task in wanted], size)
    groups = [[wanted[place] for place in batch] for batch in places]
    batches = [
        Batch([one.tokens for one in group], [one.fixed for one in group]) for group in groups
    ]
    return batches, [place for batch in places for place in batch]


def text_length(options: dict[str, Any], longest: int) -> int:
    """The tokens of a sample, at most `longest`."""
    length, tokens = options["length"] or longest, options["self_correction_tokens"]
    if not 2 <= length <= longest:
        raise ValueError(f"sampling.length={length}: between 2 and model.length={longest}")
    if tokens > length:
        raise ValueError(
            f"sampling.self_correction_tokens={tokens}: at most the length of a text, {length}"
        )
    return length


def beginning(settings: build.Settings, tokenizer: Tokenizer) -> list[int]:
    """What every text of the run begins with."""
    if settings["data"]["framing"] != "none":
        return [tokenizer.bos]
    if facts_of(settings["algo"]["name"]).causal:
        raise ValueError(
            "data.framing=none: an ar run without BOS has nothing to begin a text with"
        )
    return []
