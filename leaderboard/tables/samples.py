"""Tables of samples: generative perplexity beside entropy, held-out text as a row."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from evaluation.records import Record
from evaluation.words import one_line
from leaderboard import labels
from leaderboard.aggregate import (
    Entry,
    Runs,
    by_time,
    mean_metric,
    pool_metric,
    pool_values,
    pooled,
)
from leaderboard.format import evaluations, measure, seeds, short, words
from leaderboard.significance import side
from leaderboard.table import Column, Measure, Row, Table, Value, filled, place
from leaderboard.verdict import verdict

COLUMNS = (
    Column("divergence", "divergence", measure, "from held-out n-grams; the rows' order", "nats"),
    Column("gen. ppl", "generative_perplexity", measure, "perplexity under the scoring model"),
    Column("entropy", "entropy", measure, "of the tokens of a text", "nats"),
    Column("sampler", "sampler", words, "with the settings that are not neutral"),
    Column("NFE", "network_evaluations", evaluations, "network evaluations a text"),
    Column("seconds", "seconds_per_text", short, "seconds a text", "s"),
    Column("distinct-2", "distinct_2", measure, "share of bigrams that are distinct"),
    Column("repetition", "repetition", measure, "share of 4-grams that occurred before"),
    Column(
        "two-sample acc.", "two_sample_accuracy", measure, "samples against held-out; 0.5 is best"
    ),
    Column("MAUVE", "mauve", measure, "overlap with held-out text in an embedding"),
    Column(
        "train overlap", "train_overlap", measure, "share of tokens in n-grams of training text"
    ),
    Column("deviation", "generative_perplexity", seeds, "of gen. ppl between n seeds"),
)
MEASURED: tuple[str, ...] = ("divergence", "distinct_2", "repetition")
MEASURED += ("two_sample_accuracy", "mauve", "train_overlap")
HELD_OUT = "held-out text"
NO_BEST = (
    "No row is bold: lower generative perplexity at lower entropy is a lower temperature, not "
    "better text."
)


def shared(record: Record) -> Any:
    """The key of comparable samples: corpus, tokenizer, length, number, prompts, scoring."""
    if record.metric != "samples":
        return None
    scorer, _ = labels.scoring(record)
    return {
        "data": [record.data["name"], record.data["digest"]],
        "corpus": record.training.get("corpus"),
        "length": record.length,
        "texts": record.count,
        "prompts": record.protocol.get("tasks"),
        "scorer": scorer.get("scorer_digest") or scorer.get("scorer"),
        "quality": record.metrics.get("quality_protocol"),
    }


def newest(records: Sequence[Record]) -> dict[str | None, Record]:
    """The newest record of samples of every checkpoint."""
    return {record.checkpoint: record for record in by_time(records) if record.metric == "samples"}


def sampler_of(record: Record) -> dict[str, Any]:
    """The settings of the sampler, without its measured cost."""
    settings = record.sampler or {}
    return {key: value for key, value in settings.items() if key != "network_evaluations"}


def table(group: Sequence[Record], runs: Runs) -> Table:
    entries = runs.entries(group, sampler_of)
    rows = sorted((_row(entry) for entry in entries), key=_order)
    sentence, detail = _divergences(rows)
    length = [f"length {group[0].length}"] if group[0].length else []
    title = [f"{group[0].data['name']}: samples", f"{group[0].count:,} texts", *length]
    return Table(
        kind="samples",
        title=", ".join(title),
        caption=_scored_by(group[0]),
        columns=filled(COLUMNS, rows),
        rows=(*rows, *_held_out(group)),
        sentence=f"{sentence}{_scores_itself(rows)}{labels.conflicts(entries)}",
        detail=f"{NO_BEST} {detail}".strip(),
    )


def _order(row: Row) -> tuple[bool, float, float]:
    values = row.values
    return row.conflict, place(values["divergence"]), place(values["generative_perplexity"])


def _row(entry: Entry) -> Row:
    runs = entry.records
    seconds = [
        run.metrics["seconds"] / run.count for run in runs if run.metrics.get("seconds") is not None
    ]
    values: dict[str, Value] = {name: pool_metric(runs, name) for name in MEASURED}
    values |= {
        "generative_perplexity": pool_metric(runs, "gen_ppl"),
        "entropy": pool_values(runs),
        "sampler": labels.sampler_and_steps(runs[0], runs[0].length),
        "network_evaluations": mean_metric(runs, "network_evaluations"),
        "seconds_per_text": fmean(seconds) if seconds else None,
    }
    return Row(entry.name, values, tuple(runs), entry.conflict)


def _held_out(records: Sequence[Record]) -> list[Row]:
    """A row for as many held-out texts of the same lengths, which each seed draws for itself."""

    def pool(name: str) -> Measure | None:
        drawn = {r.seed: r.metrics.get(f"reference_{name}") for r in records}
        pairs = [(value, None) for value in drawn.values() if value is not None]
        return pooled(pairs) if pairs else None

    values = {name: pool(name) for name in ("entropy", "distinct_2", "repetition")}
    values["generative_perplexity"] = pool("gen_ppl")
    return [Row(HELD_OUT, values)] if any(values.values()) else []


def _scores_itself(rows: Sequence[Row]) -> str:
    """A sentence on the rows whose own network is the scoring model."""
    names = [row.name for row in rows if any(map(_is_scorer, row.records))]
    if not names:
        return ""
    return f" gen. ppl of {' and '.join(dict.fromkeys(names))} is by itself: no comparison."


def _is_scorer(record: Record) -> bool:
    scorer, _ = labels.scoring(record)
    return scorer.get("scorer_digest") == record.checkpoint is not None


def _divergences(rows: Sequence[Row]) -> tuple[str, str]:
    """The verdict on the divergences and the statistics behind it."""
    measured = [
        (row, value)
        for row in rows
        if isinstance(value := row.values["divergence"], Measure) and not row.conflict
    ]
    if len(measured) < 2:
        return "Fewer than two divergences: there is no difference to judge.", ""
    names = [row.name for row, _ in measured]
    if len(set(names)) < len(names):  # the same network by several samplers
        names = [f"{row.name} ({row.values['sampler']})" for row, _ in measured]
    comparison = verdict(names, [side(value) for _, value in measured])
    return f"Divergences: {comparison.sentence}", comparison.detail


def _scored_by(record: Record) -> str:
    """The scoring model and its protocol, and the prompts."""
    scorer, quality = labels.scoring(record)
    name = one_line(scorer.get("scorer", "an unknown model"))
    parts = [f"Scored by {name}" if scorer else "No scoring model"]
    parts += [f"protocol {quality['name']}"] if "name" in quality else []
    prompts = record.protocol.get("tasks")
    return ", ".join([*parts, *([f"given texts {prompts[:12]}"] if prompts else [])]) + "."
