"""The papers' numbers on the texts of our records, each beside ours where the protocol is the same
and otherwise with what is not."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from evaluation.records import Record
from leaderboard import format
from leaderboard.aggregate import Runs, by_time
from leaderboard.published import match
from leaderboard.published.results import Published
from leaderboard.run_key import Settings, chosen
from leaderboard.table import Column, Measure, Row, Table, Value, filled

ABOUT = (
    Column("not comparable", "not_comparable", format.words),
    Column("variant", "variant", format.words),
    Column("network", "network", format.words),
    Column("tokens", "training_tokens", format.amount),
    Column("context", "context_length", format.count),
    Column("packed", "packing", format.words),
    Column("split", "split", format.words),
    Column("trained on", "training_data", format.words),
    Column("source", "source", format.words),
    Column("read in", "read_in", format.words),
)
OURS = (
    Column("ours", "ours", format.measure),
    Column("off by", "off_published", format.percent),
)
LIKELIHOOD = (Column("published", "published", format.measure), *OURS, *ABOUT)
SAMPLES = (
    Column("published gen. ppl", "published", format.measure),
    Column("entropy", "entropy", format.fixed, "nats"),
    *OURS,
    Column("our entropy", "our_entropy", format.measure, "nats"),
    Column("steps", "sampling_steps", format.count),
    Column("last steps", "sampler", format.words),
    Column("top-p", "nucleus_p", format.amount),
    Column("judge", "judge", format.words),
    *ABOUT,
)
UNITS = {
    "ppl": "perplexity",
    "zero_shot_ppl": "zero-shot perplexity",
    "bpc": "bits per character",
    "gen_ppl": "generative perplexity",
}
LEGEND = (
    "Published numbers, with their sources; ours, and how far it is above, where it has the same "
    "protocol: text, split, packing, context, tokenizer, metric and network size. Elsewhere the "
    "first thing that is not the same. Tokens are those of training: a run of another budget may "
    "share the protocol. Read in: the paper, a readme of its code, or a secondary source."
)
Apart = Callable[[Published, Settings, Settings], str]


class Beside(NamedTuple):
    """A published row, our newest record under its protocol, or what sets the nearest apart."""

    row: Published
    record: Record | None
    apart: str


def beside_perplexities(
    records: Sequence[Record], runs: Runs, published: Sequence[Published]
) -> list[Table]:
    """One for each of our texts that papers report."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in by_time(records):
        if record.fields["metric"] == "ppl":
            about = match.dataset_of(record.fields), match.metric_of(record.fields)
            groups[about].append(record)
    tables = []
    for (dataset, metric), group in sorted(groups.items()):
        rows = [row for row in published if (row.dataset, row.metric) == (dataset, metric)]
        if rows:
            found = [_beside(row, group, runs, match.apart) for row in rows]
            tables.append(_table(dataset, metric, found, LIKELIHOOD))
    return tables


def beside_samples(
    records: Sequence[Record], runs: Runs, published: Sequence[Published]
) -> list[Table]:
    """The same of samples, for the algorithms that we have some of."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in by_time(records):
        if record.fields["metric"] == "samples" and "gen_ppl" in record.fields["metrics"]:
            groups[match.dataset_of(record.fields)].append(record)
    tables = []
    for dataset, group in sorted(groups.items()):
        rows = [
            row
            for row in published
            if (row.dataset, row.metric) == (dataset, "gen_ppl")
            and any(match.same_algorithm(row, record.fields) for record in group)
        ]
        if rows:
            found = [_beside(row, group, runs, match.apart_in_samples) for row in rows]
            tables.append(_table(dataset, "gen_ppl", found, SAMPLES))
    return tables


def _beside(row: Published, group: Sequence[Record], runs: Runs, apart: Apart) -> Beside:
    same = [record for record in group if match.same_algorithm(row, record.fields)]
    if not same:
        return Beside(row, None, "no run of ours")
    reasons = [apart(row, one.fields, chosen(one.fields, runs.usual(one.fields))) for one in same]
    if "" in reasons:
        newest = len(reasons) - 1 - reasons[::-1].index("")
        return Beside(row, same[newest], "")
    return Beside(row, None, reasons[-1])


def _table(
    dataset: str, metric: str, found: Sequence[Beside], columns: tuple[Column, ...]
) -> Table:
    ordered = sorted(found, key=lambda one: (one.record is None, one.row.value))
    rows = [_row(one, metric) for one in ordered]
    ours = sum(one.record is not None for one in found)
    many = "1 has" if ours == 1 else f"{ours or 'none'} {'have' if ours else 'has'}"
    return Table(
        kind="published",
        title=f"{dataset}: {UNITS[metric]} as published",
        caption=LEGEND,
        columns=filled(columns, rows),
        rows=tuple(rows),
        sentence=f"Of {len(rows)} published numbers {many} the protocol of a run of ours.",
    )


def _row(one: Beside, metric: str) -> Row:
    row = one.row
    values: dict[str, Value] = {
        "published": Measure(row.value, None, is_bound=row.bound),
        "not_comparable": one.apart or None,
        "variant": row.variant,
        "network": row.size or row.model,
        "training_tokens": row.train_tokens,
        "context_length": row.context_length,
        "packing": None if row.packing is None else ("yes" if row.packing else "no"),
        "split": row.split,
        "training_data": row.train_dataset,
        "source": row.source,
        "read_in": row.read_in,
        "entropy": row.entropy,
        "sampling_steps": row.nfe,
        "sampler": row.sampler,
        "nucleus_p": row.nucleus_p,
        "judge": row.judge_model,
    }
    if one.record is not None:
        ours = _ours(one.record, metric)
        values |= {"ours": ours, "off_published": ours.mean / row.value - 1}
        if metric == "gen_ppl":
            fields = one.record.fields
            values["our_entropy"] = Measure(fields["value"], fields["stderr"])
    return Row(row.algo, values, () if one.record is None else (one.record,))


def _ours(record: Record, metric: str) -> Measure:
    """In the unit of the published number."""
    fields = record.fields
    if metric == "gen_ppl":
        metrics = fields["metrics"]
        return Measure(metrics["gen_ppl"], metrics.get("gen_ppl_stderr"))
    value, error = match.in_its_unit(fields["value"], fields["stderr"], metric)
    return Measure(value, error, is_bound=fields["kind"] == "upper bound")
