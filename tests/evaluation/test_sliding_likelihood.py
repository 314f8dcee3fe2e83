"""Likelihoods of overlapping blocks: exact for AR, the bound of the new tokens given their context
for diffusion."""

from pathlib import Path

import numpy as np
import pytest
import torch

from algos.base import Algorithm, Batch, Draws
from data.build import build_or_open
from data.corpora import TextCorpus
from data.loaders import tensors
from data.packing import Framer, WrapBlocks
from data.store import TokenStore
from data.tokenizers import make_tokenizer
from tests.algos.configured import DIFFUSION, build
from tests.algos.knowing import teach, texts
from tests.diffusion import brute_force

BYTES = make_tokenizer("bytes")
LENGTH, STRIDE = 12, 5


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    file = tmp_path / "text.txt"
    file.write_text("A window slides over this text, and is cut at its end.")
    corpus = TextCorpus(str(file), str(file), "text", "tail", 0.1)
    return build_or_open(tmp_path / "cache", corpus, "valid", BYTES, False, 1)


def windows(store: TokenStore) -> Batch:
    framer = Framer(LENGTH, "bos", BYTES)
    blocks = WrapBlocks(store, framer, drop_last=False, stride=STRIDE)
    index = np.arange(len(blocks))
    return tensors(blocks.batch(index, np.zeros_like(index)) | {"index": index})


def built(name: str) -> Algorithm:
    torch.manual_seed(0)
    return build(name, BYTES.vocab_size, LENGTH).eval()


@torch.no_grad()
def test_sliding_likelihood_ar_is_the_exact_likelihood_of_every_token_in_its_window(
    store: TokenStore,
) -> None:
    algorithm, batch, text = built("ar"), windows(store), store.tokens.tolist()
    reported = algorithm.nll(batch)[algorithm.scored(batch)]
    room = LENGTH - 1
    slowly = []
    for place, token in enumerate(text):
        start = 0 if place < room else STRIDE * -(-(place - room + 1) // STRIDE)
        context = [BYTES.bos, *text[start:place]]
        assert place < room or len(context) >= LENGTH - STRIDE
        logits = algorithm.backbone.head(algorithm.backbone(torch.tensor([context])))[0, -1]
        slowly.append(-logits.log_softmax(-1)[token])
    torch.testing.assert_close(reported, torch.stack(slowly), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", DIFFUSION)
def test_sliding_likelihood_context_is_seen_and_costs_nothing(store: TokenStore, name: str) -> None:
    algorithm, batch = built(name), windows(store)
    z = algorithm.evaluation_noise(batch).z
    given = ~batch["noised"]
    assert torch.equal(z[given], batch["tokens"][given])
    nats = algorithm.nll(batch)
    assert (nats[~batch["scored"]] == 0).all()
    other = {**batch, "tokens": batch["tokens"].clone()}
    other["tokens"][1:, 1] = ord("~")  # context of every window but the first
    changed = (algorithm.nll(other) - nats).abs().sum(-1) > 0
    assert not changed[0]
    assert changed[1:].any()


@torch.no_grad()
@pytest.mark.parametrize("name", ["mdlm", "udlm"])
def test_sliding_likelihood_a_perfect_network_reports_the_conditional_entropy(name: str) -> None:
    """Of the last two of three tokens given the first: exactly where a kept token tells itself from
    noise, else at least that."""
    size = 3
    language = brute_force.random_language(size, 3, seed=21)
    algorithm = build(name, size, 3).eval()
    teach(algorithm, language)
    x = torch.from_numpy(texts(size, 3))
    new = torch.tensor([False, True, True]).expand_as(x)
    first = language.sum((1, 2), keepdims=True)
    entropy = -(language * np.log(language / first)).sum()
    chance = torch.from_numpy(language).flatten()
    new, x, copies = new.repeat(40, 1), x.repeat(40, 1), torch.arange(40 * len(x))
    means = []
    for number in range(60):
        batch = {"tokens": x, "scored": new, "noised": new, "index": copies}
        means.append(
            float(
                (algorithm.nll(batch, Draws(number)).double().sum(-1).view(40, -1) @ chance).mean()
            )
        )
    error = float(np.std(means, ddof=1)) / len(means) ** 0.5
    excess = float(np.mean(means)) - entropy
    assert error < 0.03 * entropy
    assert excess > -4 * error
    if name == "mdlm":
        assert excess < 4 * error
