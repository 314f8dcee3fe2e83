"""Every algorithm's training step, evaluation and samplers, and what evaluates them, on a
stand-in of a device and on the CPU.

A process of its own, since the device stays; it prints one JSON object of what was found by
case."""

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from algos.base import moved
from benchmarks import gpu_waits, stand_in
from benchmarks.gpu_waits import OVERRIDES, TRAINED, Texts, composed, drawn, rough
from benchmarks.stand_in import DEVICE
from data.markov import MarkovLanguage
from data.tokenizers import make_tokenizer
from evaluation.downstream.loglikelihood import LogLikelihoods, Pair
from evaluation.gen_ppl.ar_scorer import ar_scorer
from evaluation.gen_ppl.scorer import Passage, text_nats
from evaluation.oracle.decomposition import nats
from evaluation.oracle.network import teach
from evaluation.ordered import OrderedNats
from modes import build
from modes.settings import Settings
from samplers.orders import Order

CPU = torch.device("cpu")
TINY = ["model.hidden_size=16", "model.cond_dim=8", "model.length=8", "model.n_blocks=1"]
TINY += ["loader.global_batch_size=4", "sampling.steps=2"]
STATES = {"messages": 4, "memory": 128}  # of a language, for either kind of its posterior
Run = Callable[[torch.device], tuple[Any, float]]  # a result, and the waits


def cases() -> Iterator[tuple[str, Run]]:
    for case, overrides in TRAINED.items():
        yield f"training: {case}", trained(composed(*TINY, *overrides))
    of = {name: composed(*TINY, *line) for name, line in OVERRIDES.items()}
    for name, settings in of.items():
        yield f"evaluation: {name}", of_count(gpu_waits.evaluation, settings)
    for name in ("ar", "mdlm", "gidd"):
        yield f"downstream: {name}", downstream(of[name])
    for case, name, options in drawn():
        yield f"sampling: {case}", of_count(gpu_waits.sampling, of[name], options)
    yield "correction: gidd", of_count(gpu_waits.correction, of["gidd"])
    for name in ("ar", "mdlm", "gidd"):
        for kind, states in STATES.items():
            yield f"oracle, {kind}: {name}", oracle(of[name], states)
    yield "scorer: ar", scorer(of["ar"])
    yield "order: mdlm", ordered(of["mdlm"])


def of_count(measure: Callable[..., Any], settings: Settings, *more: Any) -> Run:
    def run(device: torch.device) -> tuple[Any, float]:
        result, count = measure(settings, device, *more)
        return result, count.waits

    return run


def trained(settings: Settings) -> Run:
    """The objective and its gradient in float32; the waits of Lightning's steps in bf16."""

    def run(device: torch.device) -> tuple[Any, float]:
        algorithm = rough(settings).train().to(device)
        algorithm.objective(moved(Texts(settings).batch(), device)).mean().backward()
        head = algorithm.backbone.head.weight
        assert head.grad is not None
        result = [float(head.grad.norm()), float(head.grad[:100].sum())]
        waits = 0.0 if device == CPU else gpu_waits.training(settings, device, low=True)[1].waits
        return result, waits

    return run


def downstream(settings: Settings) -> Run:
    def run(device: torch.device) -> tuple[Any, float]:
        algorithm = rough(settings).eval().to(device)
        asked = LogLikelihoods(algorithm, 8, eos=0, passes=2, batch_size=4)
        pairs = [Pair([1, 2, 3], [4, 5], 0), Pair([1, 2, 3], [6], 0), Pair([7], [8, 9], 1)]
        return [answer.passes.tolist() for answer in asked(pairs, quiet=True)], 0.0

    return run


def oracle(settings: Settings, states: int) -> Run:
    def run(device: torch.device) -> tuple[Any, float]:
        language = MarkovLanguage(states, 1, 0, 0.5)
        algorithm = build.algorithm(settings, states + 1).eval()
        teach(algorithm, language)
        algorithm.to(device)
        symbols = torch.from_numpy(language.texts(4, 7, np.random.default_rng(1)))
        tokens = torch.nn.functional.pad(symbols, (1, 0), value=states)
        return nats(algorithm, tokens, 0, 0).tolist(), 0.0

    return run


def scorer(settings: Settings) -> Run:
    def run(device: torch.device) -> tuple[Any, float]:
        tokenizer = make_tokenizer("bytes")
        made = ar_scorer(rough(settings).eval(), tokenizer, 8, tokenizer.bos, {})
        made.network.to(device)
        ids = list(range(20))
        return text_nats(made, [Passage(ids, np.ones(len(ids), dtype=bool))]).tolist(), 0.0

    return run


def ordered(settings: Settings) -> Run:
    def run(device: torch.device) -> tuple[Any, float]:
        exact = OrderedNats(rough(settings).eval().to(device), Order("confidence", 3))
        found, calls = exact(moved(Texts(settings).batch(), device))
        return [found.sum(1).tolist(), calls.tolist()], 0.0

    return run


def found(run: Run) -> dict[str, Any]:
    """What both devices say, and the waits of the one; or its error."""
    try:
        here, _ = run(CPU)
        there, waits = run(DEVICE)
    except Exception:
        return {"error": traceback.format_exc(limit=-6)}
    return {"cpu": here, "device": there, "waits": waits}


if __name__ == "__main__":
    torch.set_num_threads(1)
    gpu_waits.WARM, gpu_waits.STEPS = 1, 1
    stand_in.start()
    print(json.dumps({case: found(run) for case, run in cases()}))
