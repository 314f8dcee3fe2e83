"""What sets a published number apart from a record of ours, in a word; nothing where the protocol
is the same."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from leaderboard.published.results import Published
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
JUDGES = ("default", "mdlm", "duo")  # quality protocols that read whole samples of GPT-2 tokens


def metric_of(fields: Settings) -> str:
    """The metric under which papers would list a perplexity of ours."""
    if dataset_of(fields) == "text8":
        return "bpc"
    return "ppl" if dataset_of(fields) == _corpus(fields) else "zero_shot_ppl"


def dataset_of(fields: Settings) -> str:
    name = fields["data"]["name"]
    return DATASETS.get(name, name)


def in_its_unit(value: float, stderr: float | None, metric: str) -> tuple[float, float | None]:
    """A perplexity and its error as the metric of a published row: bits per character are its
    logarithm."""
    if metric != "bpc":
        return value, stderr
    return math.log2(value), None if stderr is None else stderr / (value * math.log(2))


def algorithm_of(fields: Settings) -> str:
    """The published name of what a record trained; DUO's efficient curriculum came later."""
    algo = str(fields["algo"])
    if algo == "duo" and fields["config"].get("algo", {}).get("curriculum") == "efficient":
        return "duo_pp"
    return ALGOS.get(algo, algo)


def apart(row: Published, fields: Settings, chosen: Settings) -> str:
    """The first thing in a word that sets `row` apart from a perplexity of ours, "" for nothing.

    `chosen` are the settings of the record that are not the algorithm's usual ones."""
    protocol, config = fields["protocol"], fields["config"]
    named = config.get("protocol") or {}
    packing = {"wrap": True, "pad": False}.get(protocol.get("packing"))
    checks = {
        "dataset": row.dataset == dataset_of(fields),
        "metric": row.metric == metric_of(fields),
        "training data": row.train_dataset == _corpus(fields),
        "tokenizer": row.tokenizer.split()[0] == str(protocol.get("tokenizer")).split("/")[-1],
        "context": row.context_length == protocol.get("length"),
        "packing": row.packing is not None and row.packing == packing,
        "split": row.dataset in SPLITS.get(named.get("name", ""), {}).get(row.split, ()),
        "protocol": _as_named(named, fields),
        "size": row.size is not None and row.size == size_of(fields),
        "bound": row.bound == (fields["kind"] == "upper bound"),
    }
    return _first(checks) or row.doubt or _variant(row, fields, chosen)


def apart_in_samples(row: Published, fields: Settings, chosen: Settings) -> str:
    """The same for a generative perplexity of ours."""
    metrics, sampler = fields["metrics"], fields["sampler"] or {}
    judge = str((metrics.get("gen_ppl_scorer") or {}).get("scorer", "")).rstrip("/").split("/")[-1]
    tail = SAMPLERS.get(str(sampler.get("noise_removal", "ancestral")))
    if sampler.get("predictor") != "ancestral":
        tail = sampler.get("predictor")
    quality = (metrics.get("quality_protocol") or {}).get("name")
    checks = {
        "training data": row.train_dataset == _corpus(fields),
        "judge": row.judge_model == judge and quality in JUDGES,
        "context": row.context_length == sampler.get("length"),
        "sampler": row.sampler == tail,
        "steps": row.nfe == sampler.get("steps"),
        "nucleus": (row.nucleus_p or 1.0) == sampler.get("p_nucleus", 1.0),
        "temperature": sampler.get("temperature", 1.0) == 1.0,
        "precision": row.sampling_precision == "float64" and sampler.get("draws") is None,
        "prompts": not sampler.get("tasks") and not sampler.get("self_correction"),
        "size": row.size is not None and row.size == size_of(fields),
    }
    return _first(checks) or row.doubt or _variant(row, fields, chosen)


def same_algorithm(row: Published, fields: Settings) -> bool:
    """Whether a row is about the algorithm of a record, DUO's base being UDLM."""
    return SYNONYMS.get(row.algo, row.algo) == algorithm_of(fields)


def size_of(fields: Settings) -> str | None:
    model = fields["config"].get("model", {})
    shape = tuple(model.get(key) for key in ("n_blocks", "hidden_size", "n_heads"))
    return SIZES.get(shape)


def best(rows: Sequence[Published]) -> Published | None:
    """The one that stands beside our number: read in the paper itself, the first of those."""
    ranked = sorted(rows, key=lambda row: row.read_in != "paper")
    return ranked[0] if ranked else None


def _corpus(fields: Settings) -> str:
    name = str(fields["training"].get("corpus"))
    return DATASETS.get(name, name)


def _as_named(named: Mapping[str, Any], fields: Settings) -> bool:
    """Whether the record measured as its named protocol says, no key of it changed by hand."""
    protocol, chosen = fields["protocol"], fields["config"].get("eval", {})
    said = {**(named.get("data") or {}), **(named.get("model") or {})}
    if protocol.get("changed"):
        return False
    same = all(protocol[key] == said[key] for key in said.keys() & _told(protocol))
    asked = {key: (named.get("eval") or {}).get(key) for key in ("times", "batch_mean", "stride")}
    return same and all(chosen.get(key) == value for key, value in asked.items())


def _told(protocol: Mapping[str, Any]) -> set[str]:
    """What has a value: a crop has none where nothing is cropped."""
    return {key for key, value in protocol.items() if value is not None}


def _first(checks: Mapping[str, bool]) -> str:
    return next((word for word, same in checks.items() if not same), "")


def _variant(row: Published, fields: Settings, chosen: Settings) -> str:
    """ "variant" unless our run is what the row says, and nothing that it does not say."""
    said = dict(part.partition("=")[::2] for part in (row.variant or "").split("; ") if part)
    own = {f"algo.{key}": value for key, value in fields["config"].get("algo", {}).items()}
    own |= {f"optim.{key}": value for key, value in fields["config"].get("optim", {}).items()}
    unsaid = {key for key in chosen if key.startswith("algo.") and key not in said}
    same = all(key in own and _plain(own[key]) == value for key, value in said.items())
    return "" if same and unsaid <= {"algo.name"} else "variant"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
