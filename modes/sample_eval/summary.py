"""What finished texts are like: the fields of a record, and the report on screen."""

from collections.abc import Sequence
from operator import ne
from statistics import fmean
from typing import Any

import torch

from data.tokenizers import Tokenizer
from evaluation.gen_ppl.protocols import protocol
from evaluation.gen_ppl.scorer import Judge
from evaluation.rounding import fixed, places_of, with_error
from evaluation.sample_quality.metrics import unigram_entropy
from evaluation.sample_quality.report import Held, drawn, quality
from modes.sample_eval.input_texts import Text

Masks = Sequence[list[bool]]
SHOWN = {  # name in the report, digits
    "distinct_1": ("distinct-1", 3),
    "distinct_2": ("distinct-2", 3),
    "distinct_3": ("distinct-3", 3),
    "repetition": ("repetition", 3),
    "gen_ppl": ("generative perplexity", 3),
    "mauve": ("MAUVE", 3),
    "divergence": ("divergence from held-out text", 4),
    "two_sample_accuracy": ("two-sample accuracy against it", 3),
}


def measure(
    made: list[Text],
    fixed: Masks,
    reference: list[list[int]] | None,
    judge: Judge | None,
    tokenizer: Tokenizer,
    settings: dict[str, Any],
    device: torch.device,
) -> dict[str, Any]:
    """value, stderr, count, kind and also of the record of texts, of whose tokens those that are
    not `fixed` were drawn: the mean entropy in nats, and beside it everything else with its
    interval."""
    rows = [text.tokens for text in made]
    asked = protocol(settings["eval"]["quality_protocol"])
    if judge is not None:
        judge.network.to(device)
    held = None if reference is None else Held(reference)
    metrics = quality(rows, fixed, held, judge, tokenizer, asked, settings["seed"])
    metrics["quality_protocol"]["name"] = settings["eval"]["quality_protocol"]
    return {
        "value": metrics.pop("entropy"),
        "stderr": metrics.pop("entropy_stderr"),
        "count": len(made),
        "kind": "estimate",
        "metrics": metrics | corrections(made, fixed),
    }


def corrections(made: list[Text], fixed: Masks) -> dict[str, Any]:
    """What self-correction changed, means over texts; nothing where it was off."""
    found = [text.correction for text in made if text.correction is not None]
    if not found:
        return {}
    first = drawn([one.tokens for one in found], fixed)
    rows = drawn([text.tokens for text in made], fixed)
    return {
        "entropy_before": unigram_entropy(first).mean,
        "self_accuracy_before": fmean(one.before for one in found),
        "self_accuracy_after": fmean(one.after for one in found),
        "correction_steps": fmean(one.steps for one in found),
        "tokens_changed": fmean(sum(map(ne, *pair)) for pair in zip(first, rows, strict=True)),
    }


def report(made: list[Text], tokenizer: Tokenizer, fields: dict[str, Any], show: int) -> None:
    for number, text in enumerate(made[:show], start=1):
        print(f"--- sample {number}\n{tokenizer.decode(text.tokens)}")
    metrics, lengths = fields["metrics"], sorted({len(text.tokens) for text in made})
    most = "" if len(lengths) == 1 else f" to {lengths[-1]}"
    print(f"--- {len(made)} samples of {lengths[0]}{most} tokens")
    entropy = with_error(fields["value"], fields["stderr"])
    print(f"entropy {entropy} nats{_beside(metrics, 'entropy', 3)}")
    for name, (words, digits) in SHOWN.items():
        if name in metrics:
            places = places_of(metrics.get(f"{name}_stderr"), digits)
            print(
                f"{words} {fixed(metrics[name], places)}{_interval(metrics, name, places)}", end=""
            )
            print(_beside(metrics, name, digits))
    if "gen_ppl" in metrics:
        asked = metrics["quality_protocol"]
        print(f"judged by {metrics['gen_ppl_scorer']['scorer']}, protocol {asked['name']}")
    for name in ("gen_ppl", "mauve", "divergence"):
        if f"{name}_absent" in metrics:
            print(f"no {SHOWN[name][0]}: {metrics[f'{name}_absent']}")
    if "entropy_before" in metrics:
        print(
            "self-correction: entropy {entropy_before:.3f} -> {value:.3f} nats, self-accuracy "
            "{self_accuracy_before:.1%} -> {self_accuracy_after:.1%}; {tokens_changed:.4g} tokens "
            "changed in {correction_steps:.4g} steps".format(value=fields["value"], **metrics)
        )
    calls, speed = metrics["network_evaluations"], metrics["tokens_per_second"]
    print(f"{calls:.4g} network calls a text, {speed:,.0f} tokens per second")


def _interval(metrics: dict[str, Any], name: str, digits: int) -> str:
    ends = metrics.get(f"{name}_ci")
    return "" if ends is None else f" [{fixed(ends[0], digits)}, {fixed(ends[1], digits)}]"


def _beside(metrics: dict[str, Any], name: str, digits: int) -> str:
    value = metrics.get(f"reference_{name}")
    return "" if value is None else f" (held-out text {value:.{digits}f})"
