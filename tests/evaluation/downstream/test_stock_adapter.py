"""An AR run in lm-eval, against the stock Hugging Face adapter on the same weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytest.importorskip("accelerate", reason="lm-eval's stock adapter needs accelerate")
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate

from data.tokenizers import Tokenizer
from tests.algos.configured import build
from tests.evaluation.downstream.reference import (
    TEXTS,
    WORDS,
    asked,
    our_adapter,
    stock_adapter,
    tokenizer_of,
)

LENGTH = 24
BOUNDARIES = [
    ("the cat", " sat on a mat"),
    ("the cat ", "sat"),
    ("", " the moon"),
    ("the old\n\n", "moon"),
    (" ".join(2 * WORDS), " moon"),  # too long: its beginning is cut
    (TEXTS[3], TEXTS[5][:40]),
    ("x\n\ny", " z"),
    ("the dogs", " ran after him"),
]

Pair = tuple[Any, Tokenizer]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return tokenizer_of(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def algorithm(tokenizers: Pair) -> Iterator[Any]:
    yield build("ar", vocab_size=tokenizers[1].vocab_size, length=LENGTH).eval()


def test_lm_eval_adapter_log_likelihoods_are_those_of_the_stock_adapter(
    algorithm: Any, tokenizers: Pair
) -> None:
    requests = asked("loglikelihood", *BOUNDARIES)
    stock = stock_adapter(algorithm, tokenizers[0], add_bos_token=True, batch_size=3)
    expected = stock.loglikelihood(requests, disable_tqdm=True)
    adapter = our_adapter(algorithm, tokenizers[1])
    found = adapter.loglikelihood(requests, disable_tqdm=True)
    for (value, greedy), (truth, is_best) in zip(found, expected, strict=True):
        assert value == pytest.approx(truth, abs=1e-5)
        assert greedy == is_best
    assert adapter.truncated() == 1


def test_lm_eval_adapter_the_likeliest_continuation_is_known_as_such(
    algorithm: Any, tokenizers: Pair
) -> None:
    stock = stock_adapter(algorithm, tokenizers[0], add_bos_token=True, batch_size=3)
    ours, best = our_adapter(algorithm, tokenizers[1]), []
    for context in WORDS:
        ids = [tokenizers[1].bos, *ours.encode([context])[0]]
        with torch.no_grad():
            hidden = algorithm.backbone(torch.tensor([ids]))
            best.append(
                tokenizers[1].decode([int(algorithm.backbone.head(hidden)[0, -1].argmax())])
            )
    requests = asked("loglikelihood", *zip(WORDS, best, strict=True))
    expected = [greedy for _, greedy in stock.loglikelihood(requests, disable_tqdm=True)]
    assert [greedy for _, greedy in ours.loglikelihood(requests, disable_tqdm=True)] == expected
    assert any(expected)


def test_lm_eval_adapter_rolling_log_likelihoods_are_those_of_the_stock_adapter(
    algorithm: Any, tokenizers: Pair
) -> None:
    requests = asked("loglikelihood_rolling", *[(text,) for text in TEXTS])
    stock = stock_adapter(algorithm, tokenizers[0], add_bos_token=False, batch_size=3)
    expected = stock.loglikelihood_rolling(requests, disable_tqdm=True)
    found = our_adapter(algorithm, tokenizers[1]).loglikelihood_rolling(requests, True)
    assert found == pytest.approx(expected, abs=1e-4)


def test_lm_eval_adapter_every_token_of_a_long_text_is_scored_once(tokenizers: Pair) -> None:
    ours = our_adapter(build("mdlm", tokenizers[1].vocab_size, LENGTH).eval(), tokenizers[1])
    tokens = ours.encode([" ".join(WORDS * 5)])[0]
    windows = ours.windows(tokens, 2)
    assert [token for window in windows for token in window.continuation] == tokens
    assert all(len(one.context + one.continuation) <= LENGTH for one in windows)
    assert len(windows[-1].context + windows[-1].continuation) == LENGTH
    assert len({one.question for one in windows}) == len(windows) > 2


def quiz() -> ConfigurableTask:
    """Which of three words follows, for the words of a sentence."""
    from datasets import Dataset

    rows = [
        {"start": WORDS[n], "words": [WORDS[n + 1], WORDS[n - 3], "purple mats"], "right": n % 3}
        for n in range(len(WORDS) - 1)
    ]

    def dataset(**_: Any) -> dict[str, Dataset]:
        return {"test": Dataset.from_list(rows)}

    names = ("acc", "acc_norm")
    metrics = [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in names]
    config = {
        "task": "quiz",
        "custom_dataset": dataset,
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "{{start}}",
        "doc_to_choice": "{{words}}",
        "doc_to_target": "right",
        "metric_list": metrics,
        "num_fewshot": 0,
    }
    return ConfigurableTask(config=config)


def test_lm_eval_adapter_accuracy_is_that_of_the_stock_adapter(
    algorithm: Any, tokenizers: Pair
) -> None:
    stock = stock_adapter(algorithm, tokenizers[0], add_bos_token=True, batch_size=4)
    ours = our_adapter(algorithm, tokenizers[1], batch_size=7)
    found, expected = (
        evaluate(lm=model, task_dict={"tasks": {"quiz": quiz()}}, bootstrap_iters=0)
        for model in (ours, stock)
    )
    for metric in ("acc,none", "acc_norm,none"):
        value = found["results"]["quiz"][metric]
        assert value == expected["results"]["quiz"][metric]
        assert 0 < value < 1
    assert {len(answers) for answers in ours.measured["quiz"].values()} == {3}


def test_lm_eval_adapter_what_an_ar_run_writes_is_the_likeliest_token_after_token(
    algorithm: Any, tokenizers: Pair
) -> None:
    ours = our_adapter(algorithm, tokenizers[1], batch_size=3)
    prompts = [" ".join(WORDS[:n]) for n in (1, 2, 5, 9)]
    most = 6
    wanted = {"until": [], "max_gen_toks": most}
    found = ours.generate_until(asked("generate_until", *[(p, wanted) for p in prompts]), True)
    for prompt, text in zip(prompts, found, strict=True):
        ids = [tokenizers[1].bos, *ours.encode([prompt])[0]]
        start = len(ids)
        for _ in range(most):
            with torch.no_grad():
                hidden = algorithm.backbone(torch.tensor([ids]))[0, -1]
                ids.append(int(algorithm.backbone.head(hidden).argmax()))
        assert text == ours.generator.cut(ids[start:], wanted)


def test_lm_eval_adapter_a_merged_boundary_is_scored_with_the_token_it_is_in(
    tokenizers: Pair,
) -> None:
    """The stock adapter ends there."""
    ours = our_adapter(build("ar", tokenizers[1].vocab_size, LENGTH).eval(), tokenizers[1])
    whole = ours.encode(["the cat"])[0]
    assert len(whole) < len(ours.encode(["the ca"])[0])
    (pair,) = ours.pairs([("the ca", "t")], [0])
    assert [*pair.context, *pair.continuation] == [tokenizers[1].bos, *whole]
    assert tokenizers[1].decode(pair.continuation).endswith("cat")


def test_lm_eval_adapter_the_stock_tokenizer_is_ours(tokenizers: Pair, tmp_path: Path) -> None:
    stock, ours = tokenizers
    for text in TEXTS:
        assert stock(text)["input_ids"] == [ours.bos, *ours.encode_batch([text])[0].tolist()]
