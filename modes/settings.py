"""The whole configuration, whose nodes are the rooms' settings; only the standard library."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from algos.facts import ALIASES, FACTS, canonical
from algos.settings import ALGOS, Algo
from backbones.settings import Model
from data.settings import CORPORA, Data, Loader
from diffusion.settings import NOISES, LogLinear, Noise
from evaluation.settings import Eval
from hub.settings import Export
from leaderboard.settings import Leaderboard, Track
from samplers.settings import Sampling
from schema.check import accepted, no_such_key, read_stored
from schema.fields import field, node, settings_of
from training.settings import (
    LR_SCHEDULERS,
    AdamW,
    Checkpointing,
    LRScheduler,
    Strategy,
    Trainer,
    Training,
    Wandb,
)

Plain = dict[str, Any]  # settings as they are composed, merged and stored
SEEDS = 2**32 - 1  # the largest that every library takes
Mode = Literal[
    "train",
    "ppl_eval",
    "sample_eval",
    "downstream",
    "oracle",
    "audit",
    "export",
    "benchmark",
    "leaderboard",
]


@dataclass(frozen=True)
class Protocol:
    """A protocol of likelihood; its nodes hold single keys of those of their names."""

    name: str = field("default", "the protocol", written="name")
    split: str | None = field(None, "of a Hub corpus; null: the one of its file")
    data: dict[str, Any] = field({}, "keys of data")
    model: dict[str, Any] = field({}, "keys of model")
    eval: dict[str, Any] = field({}, "keys of eval")
    trainer: dict[str, Any] = field({}, "keys of trainer")

    def check(self) -> None:
        """ValueError for a key below that its node does not have, or not with that value."""
        for name, allowed in PARTS.items():
            for key, value in getattr(self, name).items():
                dotted = f"protocol.{name}.{key}"
                if key not in allowed:
                    beside = [f"protocol.{name}.{other}" for other in allowed]
                    raise ValueError(no_such_key(dotted, beside))
                accepted(dotted, value, allowed[key])


ANY_CORPUS = {key: value for cls in CORPORA.values() for key, value in settings_of(cls).items()}
PARTS = {  # of a protocol
    "data": ANY_CORPUS,
    "model": settings_of(Model),
    "eval": settings_of(Eval),
    "trainer": settings_of(Trainer),
}


def not_algorithms(value: Any) -> str | None:
    """The complaint about a list with anything but names of algorithms."""
    names = value if isinstance(value, list) else [value]
    if all(isinstance(name, str) and canonical(name) in FACTS for name in names):
        return None
    return f"choose from {', '.join(sorted([*FACTS, *ALIASES]))}"


@dataclass(frozen=True)
class Benchmark:
    algos: list[str] = field(
        ["ar", "mdlm", "bd3lm", "d3pm", "sedd", "sedd_uniform", "udlm", "duo", "gidd"],
        "a row for each",
        rule=not_algorithms,
    )
    seeds: list[int] | None = field(None, "a row for each; null: seed", at_least=0, at_most=SEEDS)
    budget: str | None = field(
        "800k tokens",
        'of training, per row; or "300 steps", "60 seconds"; null: trainer.max_steps, which also '
        "wins if given",
    )
    scorer: bool = field(
        True, "the first row of algo=ar scores the samples of all, unless eval names a scorer"
    )
    jobs: Literal["print", "slurm"] | None = field(
        None, "instead of running: print the command of every row, or submit them as one array"
    )
    row: int | None = field(
        None, "this row alone, counted from 0: what each job of an array runs", at_least=0
    )


@dataclass(frozen=True)
class Oracle:
    algos: list[str] | None = field(None, "of mode=oracle; null: algo", rule=not_algorithms)
    samplers: list[str] | None = field(None, "null: all that each algorithm can use")
    steps: list[int] = field([4, 16, 64, 256], "of the samplers", at_least=1, at_most=1_000_000)
    samples: int = field(256, "texts per row", at_least=2, at_most=100_000_000)


@dataclass(frozen=True)
class Settings:
    mode: Mode = field("train", "what to do")
    seed: int = field(1, "of weights, data order and noise", at_least=0, at_most=SEEDS)
    results_dir: str | list[str] = field(
        "results", "folder of records; mode=leaderboard takes a list", written="path"
    )
    estimate: bool = field(False, "what this training would cost, instead of doing it")
    tensorboard: bool = field(False, "logs for TensorBoard too, in the run directory")
    algo: Algo = node(ALGOS, "the algorithm", by="name")
    model: Model = node(Model, "the network")
    noise: Noise = node(NOISES, "the noise schedule", by="name", unnamed=LogLinear)
    data: Data = node(CORPORA, "the text and its blocks", by="corpus", unnamed=Data)
    protocol: Protocol = node(Protocol, "of likelihood, for mode=ppl_eval")
    loader: Loader = node(Loader, "batches")
    training: Training = node(Training, "how a run trains")
    optim: AdamW = node(AdamW, "the optimizer")
    lr_scheduler: LRScheduler = node(LR_SCHEDULERS, "the learning rate over time", by="name")
    trainer: Trainer = node(Trainer, "Lightning's trainer")
    strategy: Strategy = node(Strategy, "of several devices")
    callbacks: dict[str, Any] = field({}, "Lightning's, by name: callbacks.Timer.duration=1")
    checkpointing: Checkpointing = node(Checkpointing, "the run directory")
    eval: Eval = node(Eval, "how a run is evaluated")
    sampling: Sampling = node(Sampling, "how samples are drawn")
    benchmark: Benchmark = node(Benchmark, "of mode=benchmark")
    oracle: Oracle = node(Oracle, "of mode=oracle, data=markov")
    export: Export = node(Export, "of mode=export")
    leaderboard: Leaderboard = node(Leaderboard, "of mode=leaderboard")
    track: Track = node(Track, "the rules that the command is held to: track=NAME, docs/tracks.md")
    wandb: Wandb = node(Wandb, "Weights & Biases, off unless project or name is given")
    # Keys of data that its corpus has no field for: a command gives them for the text of a run.
    more_data: Plain = dataclasses.field(default_factory=dict)

    @property
    def results(self) -> Path:
        """The folder of records, of every mode that has one alone."""
        return Path(str(self.results_dir))

    def check(self) -> None:
        if self.mode != "leaderboard" and not isinstance(self.results_dir, str):
            raise ValueError(
                f"results_dir={self.results_dir}: must be one folder; only mode=leaderboard takes "
                "several"
            )


Compose = Callable[[list[str]], Settings]  # the settings of a command with these overrides


def stored(settings: Settings) -> Plain:
    """Settings as checkpoints, records and loggers have them, and as they are merged."""
    plain = asdict(settings)
    plain["data"] |= plain.pop("more_data")
    return plain


def typed(plain: Mapping[str, Any]) -> Settings:
    """The settings that `stored` made plain. Those that stand for a published model say less: what
    they do not say has its default. ValueError for a node of no known kind."""
    settings: Settings = read_stored(Settings, plain)
    known, data = vars(settings.data), plain.get("data", {})
    more = {key: value for key, value in data.items() if key not in known}
    return replace(settings, more_data=more)


NODES = settings_of(Settings)
OF_FILES = ("algo", "data", "lr_scheduler", "model", "noise", "optim", "protocol", "strategy")
GROUPS = {  # folders of configs/ whose files begin with the defaults of these nodes
    group: NODES[group].limits.nodes for group in (*OF_FILES, "trainer")
}


def defaults() -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """The first lines of the files of configs/: the group, the name and the default values of every
    node; the root has no group, and only what no group sets."""
    root = stored(Settings())
    yield None, "settings", {key: value for key, value in root.items() if key not in GROUPS}
    for group, nodes in GROUPS.items():
        if isinstance(nodes, dict):
            for name, cls in nodes.items():
                yield group, f"settings_{name}", asdict(cls())
        else:
            yield group, "settings", root[group]
