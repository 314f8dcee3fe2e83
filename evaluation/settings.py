"""The keys of `eval`; only the standard library."""

from dataclasses import dataclass
from typing import Any, Literal

from schema.fields import field

QualityProtocol = Literal["default", "duo", "gidd", "mdlm", "remdm", "sedd"]


def _times(value: Any) -> str | None:
    numbers = (
        isinstance(value, list)
        and len(value) == 2
        and all(type(time) in (int, float) for time in value)
    )
    if value is None or (numbers and 0 < value[0] < value[1] <= 1):
        return None
    return (
        "null, or two times such as [0.001,1], the first above 0 and below the second, which is at "
        "most 1"
    )


@dataclass(frozen=True)
class Eval:
    checkpoint_path: str | None = field(
        None,
        "a run directory, a checkpoint file, a published folder or Hub name (NAME@REVISION)",
        written="path",
    )
    disable_ema: bool = field(False, "the raw weights, where averaged ones are there")
    output_dir: str | None = field(
        None, "where samples and answers are written; null: beside the run", written="path"
    )
    gen_ppl_eval_model_name_or_path: str | None = field(
        None,
        "the scorer of samples: a run or checkpoint of algo=ar, a folder or Hub name",
        written="path",
    )
    quality_protocol: QualityProtocol = field("default", "how it scores; the others as published")
    reference: bool | None = field(
        None, "hold samples against held-out text; null: those of a run trained here"
    )
    passes: int = field(
        4,
        "over the evaluated text, each with its own times and noise",
        at_least=1,
        at_most=1_000_000,
    )
    stride: int | None = field(
        None,
        "tokens between overlapping blocks, each token scored once; null: no overlap",
        at_least=1,
        at_most=2**20,
    )
    times: list[float] | None = field(
        None,
        "null: all of (0, 1); [0.001, 1]: uniform in it, the noise as in training, as published",
        rule=_times,
    )
    batch_mean: int | None = field(
        None,
        "null: mean over tokens; n: mean of the token means of every n texts",
        at_least=1,
        at_most=1_000_000,
    )
    corpora: list[str] | None = field(
        None, "evaluate on these in one command: [wikitext2, ptb, mine:FILE]", written="path"
    )
    tasks: list[str] | None = field(
        None, "of mode=downstream: lm-eval's names, e.g. [arc_easy], or [lambada_local]"
    )
    tasks_path: str | None = field(
        None,
        "a folder of its task files; the jsonl or parquet file of lambada_local",
        written="path",
    )
    trust_tasks: bool = field(
        False, "run Python that task files name (functions, classes, free templates)"
    )
    num_fewshot: int | None = field(
        None,
        "examples in front of a question; null: the task's own number",
        at_least=0,
        at_most=1000,
    )
    limit: int | None = field(
        None, "the first so many questions of a task; null: all", at_least=1, at_most=10**9
    )
    downstream_score: Literal["continuation", "full"] = field(
        "continuation", "full: BOS, prompt, answer and EOS noised, mean nats a token"
    )
