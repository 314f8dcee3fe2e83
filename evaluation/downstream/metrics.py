"""Metrics of a task with their standard errors, and every answer in a file."""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import stdev
from typing import Any, NamedTuple

from torch import Tensor

from evaluation.downstream.paired import estimate, lead
from evaluation.files import write_stamped

MAIN = ("acc", "exact_match", "perplexity", "word_perplexity")
PERPLEXITIES = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")
# Standard errors over questions, by the name of the function that makes one number of all of them,
# from that number and the error of a mean.
ERRORS: dict[str, Callable[[float, float], float]] = {
    "mean": lambda value, error: error,
    "perplexity": lambda value, error: value * error,  # exp of a mean
}


class Metric(NamedTuple):
    name: str
    value: float
    stderr: float | None

    @property
    def is_perplexity(self) -> bool:
        return self.name.partition(",")[0] in PERPLEXITIES


def metrics_of(task: Any, results: dict[str, Any], samples: list[dict[str, Any]]) -> list[Metric]:
    """The metrics `results` of a task, the main one first; `samples` has their values by question.
    Names have the filter, which picks the answer out of a text, where there is one."""
    metrics = []
    for key, value in results.items():
        name, _, filter_name = key.partition(",")
        if not filter_name or name.endswith("_stderr") or not isinstance(value, int | float):
            continue
        each = [sample[name] for sample in samples if sample["filter"] == filter_name]
        made_by = task.aggregation()[name].__name__
        error = None
        if made_by in ERRORS and len(each) > 1:
            error = ERRORS[made_by](value, stdev(map(float, each)) / math.sqrt(len(each)))
        metrics.append(Metric(name if filter_name == "none" else key, float(value), error))
    names = [metric.name.partition(",")[0] for metric in metrics]
    first = next((names.index(name) for name in MAIN if name in names), 0)
    return [metrics[first], *metrics[:first], *metrics[first + 1 :]]


def digest(samples: list[dict[str, Any]]) -> str:
    """Digest of the questions and their prompts, in their order."""
    keys = [[sample["doc_id"], sample["doc_hash"], sample["prompt_hash"]] for sample in samples]
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()


def write_answers(
    folder: Path, name: str, samples: list[dict[str, Any]], measured: dict[int, list[Tensor]]
) -> Path:
    """A jsonl file, one line a question: log-likelihoods with their standard errors and the lead of
    the likeliest answer, or what was written."""
    lines = [json.dumps(_answer(sample, measured), ensure_ascii=False) for sample in samples]
    content = "".join(f"{line}\n" for line in lines)
    return write_stamped(folder, name, ".jsonl", content)


def _answer(sample: dict[str, Any], measured: dict[int, list[Tensor]]) -> dict[str, Any]:
    line = {"question": sample["doc_id"], "filter": sample["filter"]}
    values = {name: sample[name] for name in sample["metrics"]}
    line |= {name: value for name, value in values.items() if isinstance(value, int | float)}
    answers = measured.get(sample["doc_id"])
    if answers is None:
        return line | {"written": sample["resps"]}
    line["log_likelihoods"] = [list(estimate(passes)) for passes in answers]
    if len(answers) > 1:
        ahead = lead(answers)
        line |= {"lead": ahead.value, "lead_stderr": ahead.stderr}
    return line
