"""The papers' numbers, each beside ours of the same protocol or with the first mismatch."""

from collections.abc import Sequence

from evaluation.records import Record
from leaderboard.aggregate import Runs, by_time
from leaderboard.format import amount, count, measure, percent, stated, words
from leaderboard.published import match
from leaderboard.published.results import Published
from leaderboard.table import Column, Measure, Row, Table, Value, filled

BESIDE, ALONE = "published", "papers"  # kinds of tables: with records of ours, without
NO_RUN = "no run of ours"
COLUMNS = (
    Column("published", "published", stated, "the number as its source prints it"),
    Column("entropy", "entropy", stated, "of the samples, as published", "nats"),
    Column("ours", "ours", measure, "under the same protocol"),
    Column("off by", "off_published", percent, "how far ours is above it"),
    Column("our entropy", "our_entropy", measure, "of our samples", "nats"),
    Column(
        "not comparable",
        "not_comparable",
        words,
        "the first mismatch with our nearest run, or a doubt",
    ),
    Column("steps", "sampling_steps", count, "of sampling"),
    Column("last steps", "sampler", words, "the sampler by its last steps"),
    Column("top-p", "nucleus_p", stated, "nucleus of sampling"),
    Column("precision", "precision", words, "of the draws"),
    Column("scorer", "scorer", words, "the model that scores the samples"),
    Column("MAUVE", "mauve", stated, "of the samples, as published"),
    Column("variant", "variant", words, "what differs from the algorithm's usual run"),
    Column("network", "network", words, "its size or name"),
    Column("trained on", "training_data", words, "the training corpus"),
    Column("tokens", "training_tokens", amount, "of training"),
    Column("training steps", "training_steps", count, "optimizer steps"),
    Column("context", "context_length", count, "tokens of a sequence"),
    Column("packed", "packing", words, "whether sequences run over ends of texts"),
    Column("tokenizer", "tokenizer", words, "of the network"),
    Column("split", "split", words, "of the corpus"),
    Column("source", "source", words, "paper and table"),
    Column("read in", "read_in", words, "the paper, a readme of its code, or secondary"),
)
AS_PUBLISHED = (  # keys of columns that are fields of a published number
    *("variant", "context_length", "tokenizer", "split", "source", "read_in", "entropy", "mauve"),
    *("sampler", "nucleus_p"),
)
UNITS = {
    "ppl": "perplexity",
    "zero_shot_ppl": "zero-shot perplexity",
    "bpc": "bits per character",
    "gen_ppl": "generative perplexity",
    "accuracy": "accuracy in percent",
}
NO_RANKING = "Data, budgets and protocols differ from row to row: no ranking."


def tables(records: Sequence[Record], runs: Runs, papers: Sequence[Published]) -> list[Table]:
    """One for each text and metric, those that records of ours have first."""
    groups: dict[tuple[str, str], list[Published]] = {}
    for row in papers:
        groups.setdefault((row.dataset, row.metric), []).append(row)
    made = [
        _table(*about, rows, _ours(*about, records), runs) for about, rows in sorted(groups.items())
    ]
    return sorted(made, key=lambda table: table.kind == ALONE)


def _ours(dataset: str, metric: str, records: Sequence[Record]) -> list[Record]:
    """Our records of a text and a published metric, oldest first."""
    return [
        record
        for record in by_time(records)
        if match.dataset_of(record) == dataset
        and (
            metric == "gen_ppl"
            if record.metric == "samples" and "gen_ppl" in record.metrics
            else record.metric == "ppl" and match.metric_of(record) == metric
        )
    ]


def _table(
    dataset: str, metric: str, papers: Sequence[Published], ours: Sequence[Record], runs: Runs
) -> Table:
    beside = [(row, *_beside(row, ours, runs)) for row in papers]
    beside.sort(key=lambda result: (result[1] is None, result[0].value))
    rows = [_row(*result, metric) for result in beside]
    matched = sum(record is not None for _, record, _ in beside)
    have = "1 has" if matched == 1 else f"{matched or 'none'} {'have' if matched else 'has'}"
    return Table(
        kind=BESIDE if ours else ALONE,
        title=f"{dataset}: {UNITS[metric]} as published",
        caption=NO_RANKING,
        columns=filled(COLUMNS, rows),
        rows=tuple(rows),
        sentence=f"Of {len(rows)} published numbers {have} the protocol of a run of ours.",
    )


def _beside(row: Published, ours: Sequence[Record], runs: Runs) -> tuple[Record | None, str]:
    """Our newest record under the protocol of a number, or the first mismatch of the nearest."""
    same = [record for record in ours if match.same_algorithm(row, record)]
    reasons = [match.mismatch(row, record, runs.changed(record)) for record in same]
    if "" in reasons:
        newest = len(reasons) - 1 - reasons[::-1].index("")
        return same[newest], ""
    nearest = reasons[-1] if reasons else NO_RUN if ours else row.doubt
    return None, nearest or ""


def _row(row: Published, record: Record | None, mismatch: str, metric: str) -> Row:
    values: dict[str, Value] = {name: getattr(row, name) for name in AS_PUBLISHED}
    values |= {
        "published": Measure(row.value, None, is_bound=row.bound),
        "not_comparable": mismatch or None,
        "network": row.size or row.model,
        "training_tokens": row.train_tokens,
        "training_steps": None if row.train_tokens else row.train_steps,
        "packing": None if row.packing is None else ("yes" if row.packing else "no"),
        "training_data": row.train_dataset,
        "sampling_steps": row.nfe,
        "precision": row.sampling_precision,
        "scorer": row.judge_model,
    }
    if record is None:
        return Row(row.algo, values)
    if metric == "gen_ppl":
        gen_ppl, error = record.metrics["gen_ppl"], record.metrics.get("gen_ppl_stderr")
        ours = Measure(gen_ppl, error)
        values["our_entropy"] = Measure(record.value, record.stderr)
    else:
        value, error = match.in_its_unit(record.value, record.stderr, metric)
        ours = Measure(value, error, is_bound=record.kind == "upper bound")
    values |= {"ours": ours, "off_published": ours.mean / row.value - 1}
    return Row(row.algo, values, (record,))
