"""Statistics of finished texts: the fields of a record, and the report on screen."""

from collections.abc import Sequence
from operator import ne
from statistics import fmean
from typing import Any

from data.tokenizers import Tokenizer
from evaluation.gen_ppl.protocols import protocol
from evaluation.gen_ppl.scorer import Scorer
from evaluation.rounding import fixed, places_of, with_error
from evaluation.sample_quality.metrics import unigram_entropy
from evaluation.sample_quality.report import Reference, drawn, quality
from evaluation.samples_file import Text

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
    texts: list[Text],
    fixed: Masks,
    reference: list[list[int]] | None,
    scorer: Scorer | None,
    tokenizer: Tokenizer,
    preset: str,
    seed: int,
) -> dict[str, Any]:
    """The fields value, stderr, kind and metrics of a record: the mean entropy in nats of the
    tokens that are not `fixed`, and beside it all other statistics with their intervals, as the
    quality protocol `preset` says."""
    rows = [text.tokens for text in texts]
    held = None if reference is None else Reference(reference)
    metrics = quality(rows, fixed, held, scorer, tokenizer, protocol(preset), seed)
    metrics["quality_protocol"]["name"] = preset
    return {
        "value": metrics.pop("entropy"),
        "stderr": metrics.pop("entropy_stderr"),
        "kind": "estimate",
        "metrics": metrics | corrections(texts, fixed),
    }


def corrections(texts: list[Text], fixed: Masks) -> dict[str, Any]:
    """The changes by self-correction, means over texts; nothing where it was off."""
    changes = [text.correction for text in texts if text.correction is not None]
    if not changes:
        return {}
    before = drawn([change.tokens for change in changes], fixed)
    after = drawn([text.tokens for text in texts], fixed)
    return {
        "entropy_before": unigram_entropy(before),
        "self_accuracy_before": fmean(change.before for change in changes),
        "self_accuracy_after": fmean(change.after for change in changes),
        "correction_steps": fmean(change.steps for change in changes),
        "tokens_changed": fmean(sum(map(ne, *pair)) for pair in zip(before, after, strict=True)),
    }


def report(texts: list[Text], tokenizer: Tokenizer, fields: dict[str, Any], show: int) -> None:
    """Prints the first `show` texts and the numbers of the record."""
    for number, text in enumerate(texts[:show], start=1):
        print(f"--- sample {number}\n{tokenizer.decode(text.tokens)}")
    metrics, lengths = fields["metrics"], sorted({len(text.tokens) for text in texts})
    longest = "" if len(lengths) == 1 else f" to {lengths[-1]}"
    print(f"--- {len(texts)} samples of {lengths[0]}{longest} tokens")
    entropy = with_error(fields["value"], fields["stderr"])
    print(f"entropy {entropy} nats{_held_out(metrics, 'entropy', 3)}")
    for name, (title, digits) in SHOWN.items():
        if name in metrics:
            places = places_of(metrics.get(f"{name}_stderr"), digits)
            value = fixed(metrics[name], places) + _interval(metrics, name, places)
            print(f"{title} {value}{_held_out(metrics, name, digits)}")
    if "gen_ppl" in metrics:
        preset = metrics["quality_protocol"]["name"]
        print(f"scored by {metrics['gen_ppl_scorer']['scorer']}, protocol {preset}")
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


def _held_out(metrics: dict[str, Any], name: str, digits: int) -> str:
    value = metrics.get(f"reference_{name}")
    return "" if value is None else f" (held-out text {value:.{digits}f})"
