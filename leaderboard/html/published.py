"""The papers' numbers as tables of the page, with their sources."""

from collections.abc import Mapping, Sequence

from leaderboard.html.elements import Cell, Line, outward, table, text
from leaderboard.published.results import Published, titles

METRICS = {  # in words, and their unit
    "ppl": "perplexity",
    "zero_shot_ppl": "zero-shot perplexity",
    "gen_ppl": "generative perplexity",
    "bpc": "bits per character",
    "accuracy": "accuracy, percent",
}
HEADERS = [
    "algorithm", "variant", "model", "corpus", "value", "entropy", "MAUVE", "sampler", "steps",
    "nucleus", "precision", "judge", "split", "tokenizer", "context", "packed", "trained on",
    "training steps", "source", "doubt",
]  # fmt: skip


def published_tables(rows: Sequence[Published]) -> str:
    """One table for each metric: never a ranking, protocols differ from row to row."""
    metrics: dict[str, list[Published]] = {}
    for row in rows:
        metrics.setdefault(row.metric, []).append(row)
    return "\n".join(_table(METRICS.get(metric, metric), own) for metric, own in metrics.items())


def _table(metric: str, rows: Sequence[Published]) -> str:
    label = f"Published: {metric}"
    names = titles()
    return (
        f'<details class="block"><summary>{text(label)}, {len(rows)} numbers</summary>\n'
        f"{table(label, HEADERS, [_line(row, names) for row in rows])}\n</details>"
    )


def _line(row: Published, names: Mapping[str, str]) -> Line:
    source = outward(row.source, f"https://arxiv.org/abs/{row.arxiv}")
    title = names.get(row.arxiv, "")
    cells = [
        Cell(row.algo),
        _words(row.variant),
        _words(row.model),
        Cell(row.dataset),
        Cell(f"{'≤ ' if row.bound else ''}{row.value:g}", row.value),
        _number(row.entropy),
        _number(row.mauve),
        _words(row.sampler),
        _number(row.nfe),
        _number(row.nucleus_p),
        _words(row.sampling_precision),
        _words(row.judge_model),
        Cell(row.split),
        Cell(row.tokenizer),
        _number(row.context_length),
        _words({True: "yes", False: "no"}.get(row.packing) if row.packing is not None else None),
        Cell(row.train_dataset),
        _number(row.train_steps),
        Cell(row.source, markup=f"{text(title)} ({source})" if title else source),
        _words(row.doubt),
    ]
    return Line(cells, row.algo, row.dataset)


def _words(value: str | None) -> Cell:
    return Cell(value or "")


def _number(value: float | None) -> Cell:
    return Cell("") if value is None else Cell(f"{value:,g}", value)
