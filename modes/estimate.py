"""estimate=true: what training would cost, by arithmetic: parameters, operations, memory, and the
batch that fits; nothing is loaded, nothing is trained."""

from dataclasses import replace
from typing import Any

import torch

from algos.base import Algorithm
from algos.denoising import DiffusionAlgorithm
from algos.facts import facts_of
from backbones import cost, sharded_cost
from backbones.cost import Parts, Sizes, Step, Work, training_flops
from data.settings import Data, Markov
from modes import build, devices
from modes.settings import Compose, Settings
from training.settings import Trainer

# Those that the published runs have: known without the tokenizer, which may not be on this machine.
VOCABULARIES = {"gpt2": 50257, "bert-base-uncased": 30521, "bytes": 257, "text8": 28}
LOW = {"bf16-mixed": 2, "32-true": 4}  # bytes of a number within the blocks
SOME_DEVICES = 8  # where trainer.devices leaves it open
DEVICES = (1, 2, 4, 8, 16, 32, 64, 128)  # that may share out the weights
CARDS = (24, 40, 80)  # 10^9 bytes; a card of that name has 7 % more, left to CUDA
COLUMNS = 26
KINDS = {"activations kept": "kept", "activation_checkpointing": "computed again"}
# Of a network of next to nothing.
LEAST: dict[str, Any] = {"hidden_size": 2, "n_blocks": 1, "n_heads": 1, "cond_dim": 2}
LEAST |= {"attention": "sdpa", "compile": False}


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    """Prints the estimate; ValueError where the mode is no training or the precision unknown."""
    mode = settings.mode
    if mode != "train":
        raise ValueError(f"estimate=true: it is for mode=train, not mode={mode}")
    print("\n".join(report(settings)))


def report(settings: Settings) -> list[str]:
    """The estimate of a training configuration as lines of text."""
    step = step_of(settings)
    sizes = step.sizes
    algo, model = settings.algo.name, settings.model.name
    lines = [f"{algo}, {model}: {sizes.vocab_size:,} tokens and the mask, texts of {sizes.length}"]
    lines += [f"blocks in {precision(settings.trainer)}", "", "parameters"]
    lines += table(cost.parameters(sizes), 1e6, "M", "all")
    lines += ["", "operations per token"]
    lines += table(cost.forward_flops(sizes), 1e6, "MFLOP", "forward")
    flops = training_flops(sizes, step.work)
    lines += table({"training": flops}, 1e6, "MFLOP")
    steps, together = settings.trainer.max_steps, settings.loader.global_batch_size
    tokens = steps * together * sizes.length
    lines += [f"  {steps:,} steps: {tokens / 1e9:,.4g} billion tokens, {tokens * flops:.3g} FLOP"]
    if step.parts:
        return [*lines, "", *sharded_memory(step), "", *sharded_batches(step, together)]
    return [*lines, "", *memory(step), "", *batches(step, together)]


def memory(step: Step) -> list[str]:
    """Lines of the memory of a training step, with and without activation checkpointing."""
    lines = ["memory, for any batch", *table(cost.state_bytes(step), 1e9, "GB", "all")]
    lines += texts(step)
    passing = {f"with {count} at a time": cost.passing_bytes(step, count) for count in (1, 32)}
    lines += ["memory, in passing: some logits, or the gradients within a block"]
    return [*lines, *table(passing, 1e9, "GB")]


def texts(step: Step) -> list[str]:
    """Lines of the memory of each text at a time."""
    lines = ["memory, for each text at a time"]
    for name, variant in kinds(step).items():
        lines += table({name: sum(cost.text_bytes(variant).values())}, 1e6, "MB")
    return lines


def sharded_memory(step: Step) -> list[str]:
    """Lines of the memory of a device that has one of `step.parts` parts of the weights."""
    whole = ", whole: a step has several passes" * step.accumulates
    lines = [f"memory of each of {step.parts} devices, for any batch (gradients{whole})"]
    lines += table(sharded_cost.state_bytes(step), 1e9, "GB", "all") + texts(step)
    for count in (1, 32):
        lines += [f"memory in passing, beside the other parts: gradients, {count} at a time"]
        lines += table(sharded_cost.moment_bytes(step, count), 1e9, "GB")
    return lines


def sharded_batches(step: Step, together: int) -> list[str]:
    """Lines of the largest loader.batch_size by card, for DEVICES that divide `together`."""
    lines = ["texts at a time that fit (the largest loader.batch_size), strategy=fsdp"]
    for parts in (count for count in DEVICES if together % count == 0):
        for name, variant in kinds(step._replace(parts=parts)).items():
            share, shown = together // parts, f"{parts} GPUs, {KINDS[name]}"
            most = {size: sharded_cost.fitting_batch(variant, size * 1e9, share) for size in CARDS}
            cells = [f"{size} GB: {count:,}" for size, count in most.items()]
            lines.append(f"  {shown:{COLUMNS}} {'   '.join(cells)}")
    return lines


def peak_bytes(step: Step, batch: int) -> float:
    """The most that a device holds with `batch` texts at a time."""
    return (sharded_cost if step.parts else cost).peak_bytes(step, batch)


def batches(step: Step, together: int) -> list[str]:
    """Lines of the largest loader.batch_size, a divisor of `together`, within each card."""
    lines = ["texts at a time that fit (the largest loader.batch_size)"]
    for name, variant in kinds(step).items():
        most = {size: cost.largest_batch(variant, size * 1e9) for size in CARDS}
        cells = [f"{size} GB: {n:,} ({divisor(together, n)})" for size, n in most.items()]
        lines.append(f"  {name:{COLUMNS}} {'   '.join(cells)}")
    return lines


def kinds(step: Step) -> dict[str, Step]:
    """The step as it is with activations kept, and with them computed again."""
    sizes = [step.sizes._replace(activation_checkpointing=again) for again in (False, True)]
    return {name: step._replace(sizes=own) for name, own in zip(KINDS, sizes, strict=True)}


def divisor(together: int, most: int) -> int:
    """The largest divisor of `together` up to `most`; 0 where most is."""
    return next((n for n in range(min(most, together), 0, -1) if together % n == 0), 0)


def table(parts: Parts | dict[str, int], unit: float, name: str, whole: str = "") -> list[str]:
    """Lines of what there is of each part, and of the `whole` where it is named."""
    parts = parts | ({whole: sum(parts.values())} if whole else {})
    values = {part: value / unit for part, value in parts.items() if value}
    return [f"  {part:{COLUMNS}} {value:12,.3f} {name}" for part, value in values.items()]


def step_of(settings: Settings) -> Step:
    """The training step of a configuration; ValueError for a precision without an estimate."""
    size, trainer, strategy = vocabulary(settings.data), settings.trainer, settings.strategy
    named, device = precision(trainer), "cpu" if trainer.accelerator == "cpu" else "cuda"
    if named not in LOW:
        raise ValueError(f"trainer.precision={named!r}: estimate=true knows {', '.join(LOW)}")
    sizes, work = sizes_of(settings, size), work_of(settings, size)
    step = Step(sizes, work, LOW[named], bool(settings.training.ema), device)
    if strategy.name != "fsdp":
        return step
    # As many as a step has devices, `SOME_DEVICES` on each machine where that is left open.
    parts = devices.processes(trainer, SOME_DEVICES)
    accumulates = build.passes(settings, parts) > 1
    parts //= trainer.num_nodes if strategy.shard_within_node else 1
    return step._replace(parts=parts, accumulates=accumulates)


def sizes_of(settings: Settings, vocab_size: int) -> Sizes:
    """The sizes of the network for a vocabulary."""
    model, facts = settings.model, facts_of(settings.algo.name)
    return Sizes(
        vocab_size=vocab_size,
        outputs=vocab_size + facts.outputs_mask,
        causal=facts.causal,
        **{key: getattr(model, key) for key in Sizes._fields if hasattr(model, key)},
    )


def flops_per_token(settings: Settings, size: int) -> float:
    """Operations of training per token for a vocabulary, whatever the precision."""
    return training_flops(sizes_of(settings, size), work_of(settings, size))


def precision(trainer: Trainer) -> str:
    """As training has it, on a GPU unless trainer.accelerator=cpu."""
    default = "32-true" if trainer.accelerator == "cpu" else "bf16-mixed"
    return str(trainer.precision or default)


def vocabulary(data: Data) -> int:
    """N of the tokenizer, by its name where that is known."""
    name = data.tokenizer_name_or_path
    if name is None:  # a language of symbols, and one that ends a text
        assert isinstance(data, Markov)
        return data.states + 1
    if name in VOCABULARIES:
        return VOCABULARIES[name]
    from data.tokenizers import make_tokenizer  # only here: it may have to ask the Hub

    return make_tokenizer(name).vocab_size


def work_of(settings: Settings, size: int) -> Work:
    """The work of a training step of the algorithm on a text, as it says itself, built with a
    network of next to nothing. DUO's soft inputs, which are sums of a few embeddings or of
    all, are left out."""
    small = replace(settings.model, **LEAST)
    algorithm = build.algorithm(replace(settings, model=small), size)
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
