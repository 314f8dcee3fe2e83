"""What finished texts are like: the fields of a record, and the report on screen."""

from collections.abc import Callable
from functools import partial
from operator import ne
from statistics import fmean
from typing import Any

from data.tokenizers import Tokenizer
from evaluation.quality import distinct_n, repetition, unigram_entropy
from modes.texts import Text

Rows = list[list[int]]
GRAMS: dict[str, tuple[Callable[[Rows], float], int]] = {  # and the tokens that each needs
    "distinct_1": (partial(distinct_n, n=1), 1),
    "distinct_2": (partial(distinct_n, n=2), 2),
    "distinct_3": (partial(distinct_n, n=3), 3),
    "repetition": (lambda rows: repetition(rows).mean, 4),
}


def statistics(made: list[Text], given: int) -> dict[str, Any]:
    """Fields of the record that describe the texts behind their `given` first tokens: entropy in
    nats, distinct n-grams, repetition, and what self-correction changed, means over texts."""
    rows = [text.tokens[given:] for text in made]
    entropy, longest = unigram_entropy(rows), max(map(len, rows))
    also = {name: metric(rows) for name, (metric, n) in GRAMS.items() if n <= longest}
    corrections = [text.correction for text in made if text.correction is not None]
    if corrections:
        first = [correction.tokens[given:] for correction in corrections]
        changed = [sum(map(ne, *pair)) for pair in zip(first, rows, strict=True)]
        also |= {
            "entropy_before": unigram_entropy(first).mean,
            "self_accuracy_before": fmean(one.before for one in corrections),
            "self_accuracy_after": fmean(one.after for one in corrections),
            "correction_steps": fmean(one.steps for one in corrections),
            "tokens_changed": fmean(changed),
        }
    return {
        "value": entropy.mean,
        "stderr": entropy.stderr,
        "count": len(made),
        "kind": "estimate",
        "also": also,
    }


def report(made: list[Text], tokenizer: Tokenizer, fields: dict[str, Any], show: int) -> None:
    for number, text in enumerate(made[:show], start=1):
        print(f"--- sample {number}\n{tokenizer.decode(text.tokens)}")
    also, lengths = fields["also"], sorted({len(text.tokens) for text in made})
    most = "" if len(lengths) == 1 else f" to {lengths[-1]}"
    print(f"--- {len(made)} samples of {lengths[0]}{most} tokens")
    error = "" if fields["stderr"] is None else f" ± {fields['stderr']:.2g}"
    print(f"entropy {fields['value']:.3f}{error} nats; ", end="")
    print("; ".join(f"{name} {also[name]:.3f}" for name in GRAMS if name in also))
    if "gen_ppl" in also:
        error = also["gen_ppl_stderr"]
        print(
            f"generative perplexity {also['gen_ppl']:.3f}"
            + ("" if error is None else f" ± {error:.2g}")
            + f", judged by {also['gen_ppl_judge']['judge']}"
        )
    if "entropy_before" in also:
        print(
            "self-correction: entropy {entropy_before:.3f} -> {value:.3f} nats, self-accuracy "
            "{self_accuracy_before:.1%} -> {self_accuracy_after:.1%}; {tokens_changed:.4g} tokens "
            "changed in {correction_steps:.4g} steps".format(value=fields["value"], **also)
        )
    calls, speed = also["network_evaluations"], also["tokens_per_second"]
    print(f"{calls:.4g} network calls a batch, {speed:,.0f} tokens per second")
