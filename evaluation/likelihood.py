"""The numbers of a record of the likelihood of a text."""

from collections.abc import Sequence
from typing import Any

from data.module import TokenDataModule
from evaluation.perplexity import Pass, bits_per_byte, summarise
from evaluation.sample_quality.metrics import unigram_entropy

BOUND = "upper bound"  # the kind of a record


def perplexity_fields(
    passes: Sequence[Pass], kind: str, batch: int | None, data: TokenDataModule
) -> dict[str, Any]:
    """value, stderr, count, kind and metrics of the record of `passes` over the blocks of `data`;
    with `batch` the mean of the token means of so many sequences each."""
    likelihood = summarise(passes, exact=kind != BOUND, batch=batch)
    metrics: dict[str, Any] = {
        "nats_per_token": likelihood.nats_per_token,
        "nats_per_token_stderr": likelihood.stderr,
        "stderr_from": likelihood.stderr_from,
        "data_stderr": likelihood.data_stderr,
        "sequences": likelihood.sequences,
        "passes": likelihood.passes,
        "reference_entropy": reference_entropy(data),
    }
    if data.valid_unsaid:
        metrics["bits_per_byte"] = None
        metrics["bits_per_byte_absent"] = "; ".join(data.valid_unsaid)
    elif data.valid_bytes_per_token:
        bits = bits_per_byte(likelihood.nats_per_token, data.valid_bytes_per_token)
        metrics["bits_per_byte"] = bits
    if data.language is not None:
        nats = exact_nats_per_token(data)
        metrics["exact_nats_per_token"] = nats
        metrics["excess_nats"] = likelihood.nats_per_token - nats
    return {
        "value": likelihood.perplexity,
        "stderr": likelihood.perplexity_stderr,
        "count": likelihood.tokens,
        "kind": kind,
        "metrics": metrics,
    }


def reference_entropy(data: TokenDataModule) -> float | None:
    """Mean unigram entropy of the evaluated blocks in nats, the target of samples of their length;
    None where no block is full, as of short texts."""
    blocks = [
        tokens[scored].numpy()
        for batch in data.val_dataloader()
        for tokens, scored in zip(batch["tokens"], batch["scored"], strict=True)
        if scored.all() or scored[1:].all()  # not the padded last one, whose length differs
    ]
    return unigram_entropy(blocks) if blocks else None


def exact_nats_per_token(data: TokenDataModule) -> float:
    """Nats per scored token under the language itself that the text is of."""
    assert data.language is not None
    nats = count = 0.0
    for batch in data.val_dataloader():
        exact = data.language.nll(batch["tokens"])
        nats += float(exact[batch["scored"]].sum())
        count += int(batch["scored"].sum())
    return nats / count
