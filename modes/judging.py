"""Generative perplexity: texts as an autoregressive run of this suite reads them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch

from algos.base import Algorithm
from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.perplexity import SequenceNats, summarise
from modes import build, saved

KEY = "eval.gen_ppl_eval_model_name_or_path"
AT_ONCE = 64  # texts that the judge reads together


class Judge(NamedTuple):
    """A trained AR network and what a record says of it."""

    algorithm: Algorithm
    length: int
    evidence: dict[str, Any]


def open_judge(settings: build.Settings, tokenizer: Tokenizer) -> Judge | None:
    """The run that eval.gen_ppl_eval_model_name_or_path names; None for none. ValueError unless it
    is exact and reads the same tokens."""
    path = settings["eval"]["gen_ppl_eval_model_name_or_path"]
    if path is None:
        return None
    chosen = settings["eval"] | {"checkpoint_path": path, "disable_ema": False}
    run = saved.open_run(settings | {"eval": chosen}, [], key=KEY)
    if run.settings["algo"]["name"] != "ar":
        raise ValueError(
            f"{KEY}={path}: a run of algo=ar is needed, this one has algo="
            f"{run.settings['algo']['name']}"
        )
    own = make_tokenizer(run.settings["data"]["tokenizer_name_or_path"])
    if own.digest != tokenizer.digest:
        raise ValueError(f"{KEY}={path}: its tokenizer is not that of the samples")
    algorithm = saved.restore(run, own.vocab_size)
    evidence = {"judge": str(path), "judge_digest": run.digest, "algo": "ar"}
    return Judge(algorithm, run.settings["model"]["length"], evidence)


@torch.no_grad()
def generative_perplexity(
    judge: Judge, rows: Sequence[list[int]], given: int, device: torch.device
) -> dict[str, Any]:
    """exp of the judge's mean nats over all tokens behind the `given` first ones, its standard
    error over texts, and who judged.

    Every token behind BOS counts, one predicted from those before it; a text without BOS has its
    first token unscored. ValueError for texts longer than the judge's."""
    longest = max(map(len, rows))
    if longest > judge.length:
        raise ValueError(
            f"{KEY}: its model.length={judge.length} is too short for samples of {longest} tokens"
        )
    nats, number = SequenceNats(), 0
    algorithm = judge.algorithm.to(device)
    for _, group in groupby(sorted(rows, key=len), key=len):
        same = torch.tensor(list(group))
        for tokens in same.split(AT_ONCE):
            index = torch.arange(number, number + len(tokens))
            number += len(tokens)
            scored = torch.ones_like(tokens, dtype=torch.bool)
            scored[:, : max(given, 1)] = False
            batch = {"tokens": tokens, "scored": scored, "noised": scored, "index": index}
            found = algorithm.nll({key: value.to(device) for key, value in batch.items()})
            nats.update(index, found.cpu(), scored)
    likelihood = summarise([nats.compute()], exact=True)
    error = likelihood.data_stderr
    return {
        "gen_ppl": likelihood.perplexity,
        "gen_ppl_stderr": None if error is None else likelihood.perplexity * error,
        "gen_ppl_tokens": likelihood.tokens,
        "gen_ppl_judge": judge.evidence,
    }
