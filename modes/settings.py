"""The whole configuration, whose nodes are the rooms' settings; only the standard library."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from algos.settings import ALGOS, Algo
from backbones.settings import Model
from data.settings import CORPORA, Data, Loader
from diffusion.settings import NOISES, Noise
from evaluation.settings import Eval
from hub.settings import Export
from leaderboard.settings import Leaderboard, Track
from samplers.settings import Sampling
from schema.check import accepted, build, no_such_key, node_class
from schema.fields import Limits, field, node, settings_of
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


@dataclass(frozen=True)
class Benchmark:
    algos: list[str] = field(
        ["ar", "mdlm", "bd3lm", "d3pm", "sedd", "sedd_uniform", "udlm", "duo", "gidd"],
        "a row for each",
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
    algos: list[str] | None = field(None, "of mode=oracle; null: algo")
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
    noise: Noise = node(NOISES, "the noise schedule", by="name")
    data: Data = node(CORPORA, "the text and its blocks", by="corpus")
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

    def check(self) -> None:
        if self.mode != "leaderboard" and not isinstance(self.results_dir, str):
            raise ValueError(
                f"results_dir={self.results_dir}: must be one folder; only mode=leaderboard takes "
                "several"
            )


GROUPS: dict[str, dict[str, type] | type] = {  # folders of configs/ whose files begin with these
    "algo": ALGOS,
    "data": CORPORA,
    "lr_scheduler": LR_SCHEDULERS,
    "model": Model,
    "noise": NOISES,
    "optim": AdamW,
    "protocol": Protocol,
    "strategy": Strategy,
    "trainer": Trainer,
}


def defaults() -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """The first lines of the files of configs/: the group, the name and the default values of every
    node; the root has no group, and only what no group sets."""
    root = asdict(Settings())
    yield None, "settings", {key: value for key, value in root.items() if key not in GROUPS}
    for group, nodes in GROUPS.items():
        if isinstance(nodes, type):
            yield group, "settings", asdict(nodes())
        else:
            for name, cls in nodes.items():
                yield group, f"settings_{name}", asdict(cls())


def keys_of_runs(overrides: Sequence[str]) -> set[str]:
    """Keys of data that may be given though the corpus at hand lacks them: those of any corpus,
    where the text is that of the run to evaluate."""
    keys = {text.lstrip("+").partition("=")[0] for text in overrides}
    if "eval.checkpoint_path" not in keys or "data" in keys:
        return set()
    return set(ANY_CORPUS)


def check_nodes(composed: dict[str, Any]) -> None:
    """ValueError for a value in the place of a node, which interpolations would trip over."""
    for key, setting in settings_of(Settings).items():
        if setting.limits.nodes is not None and not isinstance(composed[key], dict):
            raise ValueError(f"{key}={composed[key]!r}: must be a node with keys below it")


def checked(composed: dict[str, Any], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The settings as dicts of every node's fields, from what `overrides` compose to.

    ValueError naming the key, the value and what is allowed; a line for each unknown key."""
    data, of_run = composed.get("data"), {}
    if (run_keys := keys_of_runs(overrides)) and isinstance(data, dict):
        declared = settings_of(node_class(Limits("", nodes=CORPORA, by="corpus"), data, "data"))
        of_run = {key: data[key] for key in run_keys & (set(data) - set(declared))}
        composed = composed | {"data": {key: data[key] for key in data if key not in of_run}}
    settings = asdict(build(Settings, composed))
    settings["data"] |= {
        key: accepted(f"data.{key}", value, ANY_CORPUS[key]) for key, value in of_run.items()
    }
    return settings
