"""Batches of texts as they are kept on disk until all are drawn."""

import json
from typing import NamedTuple

from evaluation.batch_cache import BatchCache
from modes.sample_eval.input_texts import Correction, Text


class Made(NamedTuple):
    """The texts of a batch, the texts shown to the network for them, and the seconds it took."""

    texts: list[Text]
    evaluations: int
    seconds: float


def keep(cache: BatchCache, number: int, made: Made) -> None:
    cache.write(f"{number}.json", json.dumps(made).encode())


def read_kept(cache: BatchCache) -> dict[int, Made]:
    """Every whole batch that is there, by number."""
    found = cache.read("[0-9]*.json")
    return {int(name.removesuffix(".json")): _made(content) for name, content in found.items()}


def _made(content: bytes) -> Made:
    texts, evaluations, seconds = json.loads(content)
    return Made(
        [Text(tokens, correction and Correction(*correction)) for tokens, correction in texts],
        evaluations,
        seconds,
    )
