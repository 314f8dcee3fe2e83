"""The first mismatch between the protocols of a published number and a record, in a word."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from evaluation.records import Record
from leaderboard import labels
from leaderboard.published.results import Published, published
from leaderboard.run_key import Settings

DATASETS = {  # ours under the name of the published rows
    "openwebtext-split": "openwebtext",
    "lm1b-wrap": "lm1b",
    "scientific_papers_arxiv": "arxiv",
    "scientific_papers_pubmed": "pubmed",
}
LAST = "validation (last 100k documents)"
# Of a named protocol, in the words of the published rows, with the texts of which ours is the same.
SPLITS: dict[str, dict[str, Collection[str]]] = {
    "mdlm-owt-1024": {LAST: ("openwebtext",)},
    "duo-owt-1024": {LAST: ("openwebtext",)},
    "bd3lm-owt-1024": {LAST: ("openwebtext",)},
    "gidd-owt-512": {LAST: ("openwebtext",), "validation": ("openwebtext",)},
    "mdlm-lm1b": {"test": ("lm1b",)},
    "duo-lm1b": {"test": ("lm1b",)},
    "duo-lm1b-wrap": {"test": ("lm1b",)},
    "text8-256": {"test": ("text8",)},
    "sedd-owt-1024": {"test (wikitext2: train)": ("lambada", "lm1b", "ptb", "wikitext103")},
    "zero-shot": {
        "validation (code uses test for lm1b, ag_news, lambada)": ("ag_news", "lambada", "lm1b")
    },
}
SIZES = {(12, 768, 12): "small", (24, 1024, 16): "base"}
ALGOS = {"duo_distill": "duo_distilled"}
SYNONYMS = {"duo_base": "udlm"}
SAMPLERS = {"ancestral": "ancestral", "greedy": "greedy_tail"}  # by the last step
SCORING = ("default", "mdlm", "duo")  # quality protocols that read whole samples of GPT-2 tokens


def metric_of(record: Record) -> str:
    """The metric under which papers would list a perplexity of ours."""
    if dataset_of(record) == "text8":
        return "bpc"
    return "ppl" if dataset_of(record) == _corpus(record) else "zero_shot_ppl"


def dataset_of(record: Record) -> str:
    name = record.data["name"]
    return DATASETS.get(name, name)


def in_its_unit(value: float, stderr: float | None, metric: str) -> tuple[float, float | None]:
    """A perplexity and its error as a published metric: bits per character are its logarithm."""
    if metric != "bpc":
        return value, stderr
    return math.log2(value), None if stderr is None else stderr / (value * math.log(2))


def algorithm_of(record: Record) -> str:
    """The published name of what a record trained; DUO's efficient curriculum came later."""
    algo = record.algo
    if algo == "duo" and record.config.get("algo", {}).get("curriculum") == "efficient":
        return "duo_pp"
    return ALGOS.get(algo, algo)


def mismatch(row: Published, record: Record, changed: Settings) -> str:
    """The first mismatch of `row` and a record of ours with its metric, "" for none; `changed` are
    the settings of the record that are not the algorithm's defaults."""
    checks = _sample_checks(row, record) if row.metric == "gen_ppl" else _checks(row, record)
    first = next((word for word, same in checks.items() if not same), "")
    return first or row.doubt or _variant(row, record, changed)


def _checks(row: Published, record: Record) -> dict[str, bool]:
    named = record.config.get("protocol") or {}
    return _text_checks(row, record) | {
        "split": row.dataset in SPLITS.get(named.get("name", ""), {}).get(row.split, ()),
        "protocol": _as_named(named, record),
        "size": row.size is not None and row.size == size_of(record),
        "bound": row.bound == (record.kind == "upper bound"),
    }


def _sample_checks(row: Published, record: Record) -> dict[str, bool]:
    sampler, (scorer, protocol) = record.sampler or {}, labels.scoring(record)
    name = str(scorer.get("scorer", "")).rstrip("/").split("/")[-1]
    tail = SAMPLERS.get(str(sampler.get("noise_removal", "ancestral")))
    if sampler.get("predictor") != "ancestral":
        tail = sampler.get("predictor")
    return {
        "training data": row.train_dataset == _corpus(record),
        "scorer": row.judge_model == name and protocol.get("name") in SCORING,
        "context": row.context_length == sampler.get("length"),
        "sampler": row.sampler == tail,
        "steps": row.nfe == sampler.get("steps"),
        "nucleus": (row.nucleus_p or 1.0) == sampler.get("p_nucleus", 1.0),
        "temperature": sampler.get("temperature", 1.0) == 1.0,
        "precision": row.sampling_precision == "float64" and sampler.get("draws") is None,
        "prompts": not sampler.get("tasks") and not sampler.get("self_correction"),
        "size": row.size is not None and row.size == size_of(record),
    }


def same_algorithm(row: Published, record: Record) -> bool:
    """Whether a row is about the algorithm of a record, DUO's base being UDLM."""
    return SYNONYMS.get(row.algo, row.algo) == algorithm_of(record)


def size_of(record: Record) -> str | None:
    model = record.config.get("model", {})
    shape = tuple(model.get(key) for key in ("n_blocks", "hidden_size", "n_heads"))
    return SIZES.get(shape)


def published_beside(
    record: Record, changed: Settings, papers: Sequence[Published]
) -> Published | None:
    """The published number with the protocol of a perplexity: the first one read in the paper
    itself, or else the first."""
    rows = [row for row in papers if same_algorithm(row, record)]
    rows = [row for row in rows if not mismatch(row, record, changed)]
    return min(rows, key=lambda row: row.read_in != "paper", default=None)


def same_text(row: Published, record: Record) -> bool:
    """Whether a number and a perplexity of ours are of the same text, metric, context, tokenizer
    and, where it is stated, packing."""
    checks = _text_checks(row, record)
    return all(checks[key] for key in ("dataset", "metric", "tokenizer", "context")) and (
        row.packing is None or checks["packing"]
    )


def _text_checks(row: Published, record: Record) -> dict[str, bool]:
    protocol = record.protocol
    packing = {"wrap": True, "pad": False}.get(str(protocol.get("packing")))
    return {
        "dataset": row.dataset == dataset_of(record),
        "metric": row.metric == metric_of(record),
        "training data": row.train_dataset == _corpus(record),
        "tokenizer": row.tokenizer.split()[0] == str(protocol.get("tokenizer")).split("/")[-1]
        or (record.training.get("source") or {}).get("published") == row.id,  # it fits the model
        "context": row.context_length == protocol.get("length"),
        "packing": row.packing is not None and row.packing == packing,
    }


def _corpus(record: Record) -> str:
    name = str(record.training.get("corpus"))
    return DATASETS.get(name, name)


def _as_named(named: Mapping[str, Any], record: Record) -> bool:
    """Whether the record measured as its named protocol says, no key of it changed by hand."""
    protocol, evaluation = record.protocol, record.config.get("eval", {})
    if protocol.get("changed"):
        return False
    preset = {**(named.get("data") or {}), **(named.get("model") or {})}
    # A crop has no value where nothing is cropped.
    stated = {key for key, value in protocol.items() if value is not None}
    eval_preset = named.get("eval") or {}
    return all(protocol[key] == preset[key] for key in preset.keys() & stated) and all(
        evaluation.get(key) == eval_preset.get(key) for key in ("times", "batch_mean", "stride")
    )


def _variant(row: Published, record: Record, changed: Settings) -> str:
    """ "variant" unless our run is what the row says, and nothing that it does not say."""
    if record.training.get("source") is not None:
        return "" if _is_that_model(row, record) else "variant"
    stated = dict(part.partition("=")[::2] for part in (row.variant or "").split("; ") if part)
    run = {f"algo.{key}": value for key, value in record.config.get("algo", {}).items()}
    run |= {f"optim.{key}": value for key, value in record.config.get("optim", {}).items()}
    unstated = {key for key in changed if key.startswith("algo.") and key not in stated}
    same = all(key in run and _plain(run[key]) == value for key, value in stated.items())
    return "" if same and unstated <= {"algo.name"} else "variant"


def _is_that_model(row: Published, record: Record) -> bool:
    """Whether a row is of the published model that was evaluated: of the same training as the row
    that the register of models names."""
    named = record.training["source"].get("published")
    like = next((one for one in published() if one.id == named), None)
    if like is None or row.variant != like.variant:
        return False
    budgets = ((row.train_steps, like.train_steps), (row.train_tokens, like.train_tokens))
    return all(None in pair or pair[0] == pair[1] for pair in budgets)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
