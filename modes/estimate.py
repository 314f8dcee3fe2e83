"""estimate=true: what training would cost, by arithmetic: parameters, operations, memory, and the
batch that fits; nothing is loaded, nothing is trained."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch

from algos.base import Algorithm
from algos.denoising import DiffusionAlgorithm
from algos.facts import facts_of
from backbones.cost import (
    Parts,
    Sizes,
    Step,
    Work,
    forward_flops,
    largest_batch,
    parameters,
    passing_bytes,
    state_bytes,
    text_bytes,
    training_flops,
)
from modes import build

Settings = dict[str, Any]

# Those that the published runs have: known without the tokenizer, which may not be on this machine.
VOCABULARIES = {"gpt2": 50257, "bert-base-uncased": 30521, "bytes": 257, "text8": 28}
LOW = {"bf16-mixed": 2, "32-true": 4}  # bytes of a number within the blocks
CARDS = (24, 40, 80)  # 10^9 bytes; a card of that name has 7 % more, left to CUDA
COLUMNS = 26
LEAST = {
    "hidden_size": 2,
    "n_blocks": 1,
    "n_heads": 1,
    "cond_dim": 2,
    "attention": "sdpa",
    "compile": False,
}


def run(settings: Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    """Prints the estimate; ValueError where the mode is no training or the precision unknown."""
    if settings["mode"] != "train":
        raise ValueError(f"estimate=true: it is for mode=train, not mode={settings['mode']}")
    print("\n".join(report(settings)))


def report(settings: Settings) -> list[str]:
    """The estimate of a training configuration as lines of text."""
    step = step_of(settings)
    sizes, counts = step.sizes, parameters(step.sizes)
    algo, model = settings["algo"]["name"], settings["model"]["name"]
    lines = [f"{algo}, {model}: {sizes.vocab_size:,} tokens and the mask, texts of {sizes.length}"]
    lines += [f"blocks in {precision(settings)}", "", "parameters"]
    lines += table(counts | {"all": sum(counts.values())}, 1e6, "M")
    forward = forward_flops(sizes)
    lines += ["", "operations per token"]
    lines += table(forward | {"forward": sum(forward.values())}, 1e6, "MFLOP")
    flops = training_flops(sizes, step.work)
    lines += table({"training": flops}, 1e6, "MFLOP")
    steps, together = settings["trainer"]["max_steps"], settings["loader"]["global_batch_size"]
    tokens = steps * together * sizes.length
    lines += [f"  {steps:,} steps: {tokens / 1e9:,.4g} billion tokens, {tokens * flops:.3g} FLOP"]
    return [*lines, "", *memory(step), "", *batches(step, together)]


def memory(step: Step) -> list[str]:
    """Lines of the memory of a training step, with and without activation checkpointing."""
    state = state_bytes(step)
    lines = ["memory, for any batch", *table(state | {"all": sum(state.values())}, 1e9, "GB")]
    lines += ["memory, for each text at a time"]
    for name, variant in kinds(step).items():
        lines += table({name: sum(text_bytes(variant).values())}, 1e6, "MB")
    passing = {f"with {count} at a time": passing_bytes(step, count) for count in (1, 32)}
    lines += ["memory, in passing: some logits, or the gradients within a block"]
    return [*lines, *table(passing, 1e9, "GB")]


def batches(step: Step, together: int) -> list[str]:
    """Lines of the largest loader.batch_size, a divisor of `together`, within each card."""
    lines = ["texts at a time that fit (the largest loader.batch_size)"]
    for name, variant in kinds(step).items():
        most = {size: largest_batch(variant, size * 1e9) for size in CARDS}
        cells = [f"{size} GB: {n:,} ({divisor(together, n)})" for size, n in most.items()]
        lines.append(f"  {name:{COLUMNS}} {'   '.join(cells)}")
    return lines


def kinds(step: Step) -> dict[str, Step]:
    """The step as it is with activations kept, and with them computed again."""

    def with_(again: bool) -> Step:
        return step._replace(sizes=step.sizes._replace(activation_checkpointing=again))

    return {"activations kept": with_(False), "activation_checkpointing": with_(True)}


def divisor(together: int, most: int) -> int:
    """The largest divisor of `together` up to `most`; 0 where most is."""
    return next((n for n in range(min(most, together), 0, -1) if together % n == 0), 0)


def table(parts: Parts | dict[str, int], unit: float, name: str) -> list[str]:
    """Lines of what there is of each part."""
    values = {part: value / unit for part, value in parts.items() if value}
    return [f"  {part:{COLUMNS}} {value:12,.3f} {name}" for part, value in values.items()]


def step_of(settings: Settings) -> Step:
    """The training step of a configuration; ValueError for a precision without an estimate."""
    size = vocabulary(settings["data"])
    named, cpu = precision(settings), settings["trainer"]["accelerator"] == "cpu"
    if named not in LOW:
        raise ValueError(f"trainer.precision={named!r}: estimate=true knows {', '.join(LOW)}")
    averaged = bool(settings["training"]["ema"])
    sizes = sizes_of(settings, size)
    return Step(sizes, work_of(settings, size), LOW[named], averaged, "cpu" if cpu else "cuda")


def sizes_of(settings: Settings, vocab_size: int) -> Sizes:
    """The sizes of the network for a vocabulary."""
    model, facts = settings["model"], facts_of(settings["algo"]["name"])
    return Sizes(
        vocab_size=vocab_size,
        outputs=vocab_size + facts.outputs_mask,
        causal=facts.causal,
        **{key: model[key] for key in Sizes._fields if key in model},
    )


def flops_per_token(settings: Settings) -> float:
    """Operations of training per token, whatever the precision."""
    size = vocabulary(settings["data"])
    return training_flops(sizes_of(settings, size), work_of(settings, size))


def precision(settings: Settings) -> str:
    """As training has it, on a GPU unless trainer.accelerator=cpu."""
    default = "32-true" if settings["trainer"]["accelerator"] == "cpu" else "bf16-mixed"
    return str(settings["trainer"]["precision"] or default)


def vocabulary(data: Settings) -> int:
    """N of the tokenizer, by its name where that is known."""
    name = data["tokenizer_name_or_path"]
    if name is None:  # a language of symbols, and one that ends a text
        return int(data["states"]) + 1
    if name in VOCABULARIES:
        return VOCABULARIES[name]
    from data.tokenizers import make_tokenizer  # only here: it may have to ask the Hub

    return make_tokenizer(name).vocab_size


def work_of(settings: Settings, size: int) -> Work:
    """The work of a training step of the algorithm on a text, as it says itself, built with a
    network of next to nothing. DUO's soft inputs, which are sums of a few embeddings or of
    all, are left out."""
    small = deepcopy(settings)
    small["model"] |= LEAST
    algorithm = build.algorithm(small, size)
    again, beside = algorithm.clean_share, algorithm.context_share
    teacher = algorithm.facts.has_teacher
    return Work(1 + again + beside, scored(algorithm) + again, teacher, keys=1 + beside)


def scored(algorithm: Algorithm) -> float:
    """The share of a noised text that goes through the head, over all times: masks alone where no
    other noise is."""
    if not isinstance(algorithm, DiffusionAlgorithm) or algorithm.training_process.has_noise:
        return 1.0
    times = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    return float(algorithm.training_process.schedule(times).mask.mean())
