"""1,500 published texts of known temperatures: every metric puts the three sets in order."""

import lzma
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.gen_ppl.protocols import PROTOCOLS
from evaluation.gen_ppl.scorer import Scorer
from evaluation.sample_quality.report import quality

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
SAMPLES = SHARED / "data" / "gpt2-samples"
SETS = {"0.7": "unconditional-t07", "top-k 40": "unconditional-topk40", "1": "unconditional"}
TEXTS, LENGTH = 150, 256
# The order of the sampling temperatures: values rise with it, but for the last one.
RISING = ("entropy", "distinct_1", "distinct_2", "distinct_3", "gen_ppl")

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir() or not (SHARED / "tokenizers" / "gpt2").is_dir(),
    reason="the folder shared/ with GPT-2 samples and tokenizer is not beside the repository",
)


def read(name: str) -> str:
    with lzma.open(SHARED / "data" / f"{name}.txt.xz", "rt", encoding="utf-8") as file:
        return file.read()


def bigram_scorer(tokenizer: Tokenizer) -> Scorer:
    """A scorer from counts in news-like text: p(w | v) = (c(vw) + 20 p(w)) / (c(v) + 20)."""
    text = [read("wikitext-2-raw/valid"), read("wikitext-2-raw/test")]
    ids = np.concatenate(tokenizer.encode_batch(text)).astype(np.int64)
    size = tokenizer.vocab_size
    once = np.bincount(ids, minlength=size)
    unigram = (once + 0.1) / (once + 0.1).sum()
    pairs, times = np.unique(ids[:-1] * size + ids[1:], return_counts=True)

    def nats(rows: Tensor) -> Tensor:
        left, right = rows[:, :-1].numpy(), rows[:, 1:].numpy()
        key = left * size + right
        place = np.minimum(np.searchsorted(pairs, key), len(pairs) - 1)
        both = np.where(pairs[place] == key, times[place], 0)
        return torch.from_numpy(-np.log((both + 20 * unigram[right]) / (once[left] + 20)))

    return Scorer(
        network=nn.Identity(),
        nats=nats,
        hidden=lambda rows: torch.zeros(*rows.shape, 1),
        encode=lambda text, whole: tokenizer.encode_batch([text])[0].tolist(),
        window=1024,
        texts_at_once=lambda length: 64,
        bos=tokenizer.bos,
        eos=tokenizer.eos,
        pads_left=False,
        digest=tokenizer.digest,
        provenance={"scorer": "bigrams of WikiText-2"},
    )


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, float]]:
    tokenizer = make_tokenizer(str(SHARED / "tokenizers" / "gpt2"))
    scorer, found = bigram_scorer(tokenizer), {}
    for name, file in SETS.items():
        texts = re.split(r"^=+ SAMPLE \d+ =+$", read(f"gpt2-samples/{file}"), flags=re.M)[1:]
        rows = [row.tolist()[:LENGTH] for row in tokenizer.encode_batch(texts[:TEXTS])]
        fixed = [[False] * len(row) for row in rows]
        found[name] = quality(rows, fixed, None, scorer, tokenizer, PROTOCOLS["default"], seed=1)
    return found


@pytest.mark.parametrize("name", RISING)
def test_quality_of_gpt2_the_metrics_order_the_sets_as_their_temperatures(
    measured, name: str
) -> None:
    low, middle, high = (measured[one] for one in SETS)
    assert low[name] < middle[name] < high[name]
    # Not by chance: the two ends are further apart than their intervals reach.
    assert low[f"{name}_ci"][1] < high[f"{name}_ci"][0]


def test_quality_of_gpt2_repetition_falls_with_the_temperature(measured) -> None:
    low, middle, high = (measured[one] for one in SETS)
    assert low["repetition"] > middle["repetition"] > high["repetition"]
    assert low["repetition_ci"][0] > high["repetition_ci"][1]
