"""A published model as a checkpoint of this suite."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algos.facts import facts_of


@dataclass(frozen=True)
class ImportedModel:
    """A published model: its weights and what its files say.

    `checkpoint` has the parts that training.checkpoint reads: config (algo, model, noise, data,
    training, loader, seed), state_dict, global_step and, where averaged and raw weights are apart,
    ema. `vocab_size` is N, every state of the process but the mask. `mask` is the id that the mask
    has in the published vocabulary, which changed places with the last one."""

    checkpoint: dict[str, Any]
    vocab_size: int
    mask: int | None
    mask_is_stated: bool  # whether a file or the register says it
    tokenizer: str | None  # a name or a folder; None where nothing says
    algorithms: frozenset[str]  # the names that are right for it
    averaged: bool  # whether the published evaluation uses averaged weights and these are here
    format: str
    source: str  # the name that it was opened by
    revision: str | None  # the commit of the Hub's repository
    published: str | None  # the row of leaderboard/published/results.csv that it is of
    steps: int | None  # of its training, None where nothing says
    tokens: int | None
    file: Path  # of the weights
    digest: str

    def extra_states(self, tokens: int) -> range:
        """The ids that a tokenizer of so many `tokens`, its mask not among them, has not got.
        ValueError where it does not fit."""
        extra = range(tokens, self.vocab_size)
        if self.vocab_size < tokens or (extra and self.has_mask):
            more = f", none for {ids(extra)}" if extra else ""
            raise ValueError(
                f"{self.source}: a model of {self.vocab_size} tokens, the tokenizer has "
                f"{tokens}{more}"
            )
        return extra

    @property
    def has_mask(self) -> bool:
        """Whether the last row of its embedding is a mask, and no state of the process."""
        return not facts_of(self.checkpoint["config"]["algo"]["name"]).uniform


def ids(those: range) -> str:
    """Ids in words."""
    return f"the id {those[0]}" if len(those) == 1 else f"the ids {those[0]} to {those[-1]}"
