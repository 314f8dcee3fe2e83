"""The fields of a record, each with its rule."""

from collections.abc import Mapping

from evaluation.rules import (
    FLAG,
    FROM_0,
    NAME,
    PATH,
    POSITIVE,
    SETTING,
    SHARE,
    TEXT,
    Rule,
    each,
    group,
    is_name,
    leaf,
    number,
    or_null,
    row,
    whole,
)

KINDS = ("exact", "upper bound", "estimate")
UNDER = "exact under "  # an order, which follows: the likelihood of a sampler with it
ORDER = "order"  # the key of its settings in a protocol
KIND = leaf(
    f"one of {', '.join(KINDS)}, {UNDER}...",
    lambda value: value in KINDS or (is_name(value) and value.startswith(UNDER)),
)
COUNT, SEED, LENGTH = whole(0), whole(-(2**63), 2**64), whole(1)


def of(rule: Rule, names: str) -> dict[str, Rule]:
    """The rule by each of the names."""
    return dict.fromkeys(names.split(), rule)


def optional(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    return {name: or_null(rule) for name, rule in rules.items()}


# Settings of a measurement that tables and charts read; the rest is any plain data.
HOW = optional(
    {
        "length": LENGTH,
        "network_evaluations": FROM_0,
        "noise_removal": NAME,
        "p_nucleus": number(),
        "packing": NAME,
        "predictor": NAME,
        "steps": COUNT,
        "tasks": NAME,
        "temperature": number(),
        "tokenizer": PATH,  # or a name
        "tokenizer_digest": NAME,
    }
)
HARDWARE = optional(
    of(NAME, "cpu gpu system python torch lightning") | of(COUNT, "cores threads gpus")
)
ORIGIN = optional({"algo": NAME, "steps": COUNT, "tokens": COUNT, "weights": NAME})
SOURCE = optional({"name": PATH, "format": NAME, "revision": NAME, "published": NAME})
DIGESTS: dict[str, Rule] = {"corpus": group(), "tokenizer": NAME}
TRAINING = {
    **optional({"corpus": NAME, "seed": SEED, "averaged_weights": FLAG, "checkpoint": PATH}),
    "finetuned_from": or_null(group(known=ORIGIN.get)),
    "source": or_null(group(known=SOURCE.get)),
    "digests": or_null(group(known=DIGESTS.get)),
}
SIZES = optional(of(LENGTH, "length n_blocks hidden_size n_heads"))
PRESET = {
    "name": or_null(NAME),
    **{name: or_null(group()) for name in ("data", "model", "eval")},
}
CONFIG: dict[str, Rule] = {
    **{name: group() for name in ("algo", "eval", "optim", "training")},
    "model": group(known=SIZES.get),
    "loader": group(known=optional({"global_batch_size": LENGTH}).get),
    "trainer": group(known=optional({"precision": SETTING}).get),
    "protocol": or_null(group(known=PRESET.get)),
}
METRICS: dict[str, Rule] = {
    **of(number(), "nats_per_token exact_nats_per_token excess_nats bits_per_byte divergence"),
    **of(
        FROM_0,
        "entropy entropy_before data_stderr seconds tokens_per_second network_evaluations "
        "positions_read train_seconds train_flops tokens_changed correction_steps",
    ),
    **of(
        SHARE,
        "distinct_1 distinct_2 distinct_3 repetition mauve foreign two_sample_accuracy "
        "train_overlap self_accuracy_before self_accuracy_after",
    ),
    **of(COUNT, "sequences passes gen_ppl_tokens gen_ppl_texts train_peak_memory_bytes"),
    **of(PATH, "curve sequences_file samples answers"),
    "noise_seed": SEED,
    "gen_ppl": POSITIVE,
    "gen_ppl_scorer": group(known=optional({"scorer": PATH, "scorer_digest": TEXT}).get),
    "quality_protocol": group(known=optional({"name": NAME}).get),
    "task_metrics": each(row(number(), or_null(FROM_0))),
    "log_likelihoods": each(or_null(FROM_0)),
    "losses": each(group({"excess": number(), "stderr": FROM_0})),
}
INTERVAL = row(number(), number())


def metrics(name: str) -> Rule | None:
    """The rule of a metric beside the value, by its name or by the ending of its name."""
    if name.endswith("_stderr"):
        return or_null(FROM_0)
    if name.endswith("_ci"):
        return or_null(INTERVAL)
    if name.endswith("_absent"):
        return TEXT
    rule = METRICS.get(name.removeprefix("reference_"))
    return None if rule is None else or_null(rule)


FIELDS: dict[str, Rule] = {
    "metric": NAME,
    "value": number(),
    "stderr": or_null(FROM_0),
    "count": whole(1),
    "kind": KIND,
    "algo": NAME,
    "protocol": group(known=HOW.get),
    "network": group({"name": NAME, "parameters": COUNT}),
    "data": group({"name": NAME, "digest": NAME}, optional({"tokenizer": PATH}).get),
    "training": group(
        optional({"steps": COUNT, "tokens": COUNT, "checkpoint_digest": NAME}), TRAINING.get
    ),
    "sampler": or_null(group(known=HOW.get)),
    "seed": SEED,
    "commit": or_null(NAME),
    "hardware": group(known=HARDWARE.get),
    "wall_time_s": FROM_0,
    "peak_memory_bytes": COUNT,
    "config": group(known=CONFIG.get),
    "created": NAME,
    "metrics": group(known=metrics),
}
# Of metrics whose value is no number from -LARGEST to LARGEST.
VALUES: dict[str, Rule] = {
    **of(POSITIVE, "ppl ordered_ppl perplexity word_perplexity byte_perplexity"),
    **of(FROM_0, "samples corrected_samples"),
}
