"""The keys of `leaderboard` and of `track`; only the standard library."""

from dataclasses import dataclass

from schema.fields import field


@dataclass(frozen=True)
class Leaderboard:
    explain: bool = field(
        False, "the statistics, the protocol and the meaning of each column below every table"
    )


@dataclass(frozen=True)
class Track:
    """Rules that entries share, beside the values that a file of configs/track gives to keys."""

    name: str | None = field(None, "of the rules that the command is held to", written="name")
    free: list[str] | None = field(None, "the groups and keys that an entry may change")
    parameters: int | None = field(
        None, "the most parameters of a network; null: any", at_least=1, at_most=10**12
    )
    machine: str | None = field(
        None, "the GPU whose seconds are the budget, a part of its name; null: any machine"
    )
    train_digest: str | None = field(None, "of the training text; null: held to be equal by tables")
    valid_digest: str | None = field(None, "of the held-out text; null: as above")
    blocks: int | None = field(
        None, "of the held-out text that are evaluated; null: as above", at_least=1, at_most=10**12
    )
    points: int = field(
        1,
        "validations of a learning curve, at least, at equal distances",
        at_least=1,
        at_most=10**6,
    )
    target: float | None = field(
        None, "the validation loss, nats per token, that time to target is of", above=0, at_most=100
    )
    epochs: list[int] | None = field(
        None,
        "the passes over the training text at which curves are read",
        at_least=1,
        at_most=10**6,
    )
    published: list[str] | None = field(None, "results of others, in words, below the table")
