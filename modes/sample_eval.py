"""mode=sample_eval: texts from a trained run, on screen and in a file, and their statistics as one
record."""

import hashlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from torch import Tensor

from algos.base import Algorithm
from data.tokenizers import Tokenizer, make_tokenizer
from diffusion.shaping import Shaping
from evaluation.records import write_record
from modes import build, drawing, judging, saved, texts
from modes.checks import check_sampling
from modes.summary import report, statistics
from modes.texts import Text
from samplers import SAMPLERS
from samplers.ancestral import uniform_grid
from samplers.greedy import greedy_tail

GREEDY_AT = 1e-5  # the time of the last argmax, as published
# What a sampler does unless it is told otherwise; a record names only what differs.
DEFAULTS = {"min_p": 0.0, "noise_removal": "ancestral"}
CORRECTION_DEFAULTS = {
    "self_correction": 0,
    "self_correction_temperature": 0.1,
    "self_correction_tokens": 1,
    "self_correction_patience": 32,
    "self_correction_time": 0.01,
}


class Plan(NamedTuple):
    """How the batches of texts begin, how many there are, and the network calls of one; what the
    record says of them."""

    begin: Callable[[Algorithm, int], Tensor]
    batches: int
    calls: int
    name: str
    metric: str
    protocol: dict[str, Any]
    order: list[int] | None = None  # the places of the texts, where they are not drawn in order


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    started = time.monotonic()
    run, options = saved.open_run(settings, overrides), settings["sampling"]
    algo = able(run.settings["algo"], compose)
    check_sampling(algo, options)
    length = text_length(options, run.settings["model"]["length"])
    tokenizer = make_tokenizer(run.settings["data"]["tokenizer_name_or_path"])
    prompt, judge = beginning(run.settings, tokenizer), judging.open_judge(settings, tokenizer)
    if options["texts"] is None:
        predictor = options["predictor"] or algo["predictors"][0]
        plan = drawn_plan(settings, predictor, length, prompt)
    else:
        plan = file_plan(settings, tokenizer, length, prompt)
    algorithm = saved.restore(run, tokenizer.vocab_size)
    algorithm.shaping = Shaping(options["temperature"], options["min_p"])
    trainer = build.trainer(run.settings, [], fitting=False, share_batches=True)
    made, seconds = draw(trainer, algorithm, plan, settings, prompt)
    if not trainer.is_global_zero:
        return
    folder = run.file.parent.parent / "samples"
    file = texts.write_samples(folder, plan.name, options, made, tokenizer)
    calls = algorithm.network_evaluations / -(-plan.batches // trainer.world_size)
    protocol = plan.protocol | corrected_how(options)
    fields = saved.evidence(run, algorithm, started) | statistics(made, len(prompt))
    fields["also"] |= {
        "network_evaluations": calls,
        "tokens_per_second": sum(len(text.tokens) for text in made) / seconds,
        "samples": str(file),
    }
    if judge is not None:
        rows = [text.tokens for text in made]
        fields["also"] |= judging.generative_perplexity(judge, rows, len(prompt), algorithm.device)
    fields |= {
        "metric": plan.metric,
        "seed": settings["seed"],
        "protocol": protocol,
        "sampler": protocol | {"network_evaluations": calls},
        "data": {"name": run.settings["data"]["name"], "digest": tokenizer.digest},
    }
    path = write_record(settings["results_dir"], fields)
    report(made, tokenizer, fields, options["show"])
    print(f"samples: {file}\nrecord: {path}")


def able(algo: build.Settings, compose: Callable[..., Any]) -> build.Settings:
    """The run's algorithm, with what can be done with it as today's files say: a run of an earlier
    version may say less."""
    today = compose([f"algo={algo['name']}"])["algo"]
    return algo | {key: today[key] for key in ("predictors", "corrects")}


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
    if settings["algo"]["name"] == "ar":
        raise ValueError(
            "data.framing=none: an ar run without BOS has nothing to begin a text with"
        )
    return []


def drawn_plan(settings: build.Settings, predictor: str, length: int, prompt: list[int]) -> Plan:
    """Samples of the algorithm itself."""
    options, ar = settings["sampling"], predictor == "ar"
    greedy = options["noise_removal"] == "greedy"
    protocol = {"predictor": predictor, "length": length, "temperature": options["temperature"]}
    protocol |= {key: options[key] for key in DEFAULTS if options[key] != DEFAULTS[key]}
    return Plan(
        begin=partial(
            drawing.sampled,
            shape=(settings["loader"]["eval_batch_size"], length),
            sampler=sampler(predictor, options),
            prompt=prompt,
        ),
        batches=options["num_sample_batches"],
        calls=length - len(prompt) if ar else options["steps"] + greedy,
        name=f"{predictor}-{options['steps']}",
        metric="entropy",
        protocol=protocol | {"steps": None if ar else options["steps"]},
    )


def file_plan(
    settings: build.Settings, tokenizer: Tokenizer, longest: int, prompt: list[int]
) -> Plan:
    """The texts of a file, each at its own length. They are no samples of the run, so their entropy
    goes by another name."""
    options = settings["sampling"]
    file = Path(options["texts"])
    rows = texts.read_texts(file, tokenizer, prompt, longest)
    places = texts.by_length(rows, settings["loader"]["eval_batch_size"])
    return Plan(
        begin=partial(drawing.given, batches=[[rows[i] for i in batch] for batch in places]),
        batches=len(places),
        calls=0,
        name=f"texts-{options['self_correction']}",
        metric="corrected_entropy",
        protocol={"texts": hashlib.sha256(file.read_bytes()).hexdigest()},
        order=[place for batch in places for place in batch],
    )


def corrected_how(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of self-correction, where it is on."""
    if not options["self_correction"]:
        return {}
    known = CORRECTION_DEFAULTS.items()
    return {key: options[key] for key, default in known if options[key] != default}


def sampler(name: str, options: dict[str, Any]) -> Callable[..., Tensor]:
    """The sampling loop with its own options bound."""
    loop = SAMPLERS[name]
    if name == "ar":
        return loop
    if options["noise_removal"] == "greedy":
        grid = uniform_grid(options["steps"], end=GREEDY_AT)
        return partial(greedy_tail, grid=grid, sampler=loop)
    return partial(loop, grid=uniform_grid(options["steps"]))


def draw(
    trainer: L.Trainer,
    algorithm: Algorithm,
    plan: Plan,
    settings: build.Settings,
    prompt: list[int],
) -> tuple[list[Text], float]:
    """The texts in their order, and the seconds that they took."""
    options = settings["sampling"]
    steps, calls, correct = options["self_correction"], plan.calls, None
    if steps:
        calls += steps + 1
        own = {key.removeprefix("self_correction_"): options[key] for key in CORRECTION_DEFAULTS}
        own["steps"] = own.pop("self_correction")
        correct = partial(drawing.correct, prompt=prompt, **own)
    makes = drawing.Drawing(plan.begin, correct, settings["seed"])
    began = time.monotonic()
    made = drawing.draw(trainer, algorithm, makes, plan.batches, calls)
    seconds = time.monotonic() - began
    if plan.order is not None:
        made = [text for _, text in sorted(zip(plan.order, made, strict=True))]
    return made, seconds
