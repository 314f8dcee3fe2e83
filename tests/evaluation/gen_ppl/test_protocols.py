"""Every published definition of generative perplexity against a slow one with padded batches."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoTokenizer, GPT2LMHeadModel

from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.gen_ppl.hf_scorer import pretrained
from evaluation.gen_ppl.inputs import passages, unreadable
from evaluation.gen_ppl.protocols import PROTOCOLS
from evaluation.gen_ppl.scorer import Scorer, perplexity, text_nats
from tests.evaluation.gen_ppl.tiny_scorer import save_scorer

EOS = 260


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scorer")
    save_scorer(path)
    return path


@pytest.fixture(scope="module")
def own(folder: Path) -> Tokenizer:
    return make_tokenizer(str(folder))


@pytest.fixture(scope="module")
def scorer(folder: Path, own: Tokenizer) -> Scorer:
    return pretrained(str(folder), own)


@pytest.fixture(scope="module")
def network(folder: Path) -> GPT2LMHeadModel:
    return GPT2LMHeadModel.from_pretrained(folder).eval()


def samples(count: int, lengths: tuple[int, ...]) -> list[list[int]]:
    """Rows of word-like ids; most begin with EOS (the BOS), many have several inside."""
    generator = np.random.default_rng(1)
    rows = generator.choice([*range(32, 90), *range(256, 260)], size=(count, 1300)).tolist()
    for number, row in enumerate(rows):
        if number % 3:
            row[0] = EOS
        for place in (20, 21, 35)[: number % 4]:
            row[place] = EOS
    return [row[: lengths[number % len(lengths)]] for number, row in enumerate(rows)]


def measured(rows, scorer: Scorer, tokenizer: Tokenizer, name: str) -> float:
    fixed = [[True] + [False] * (len(row) - 1) for row in rows]
    read = passages(rows, fixed, tokenizer, scorer, PROTOCOLS[name])
    assert unreadable(read, scorer, PROTOCOLS[name]) is None
    assert not any(one.scored[0] for one in read)
    return perplexity(text_nats(scorer, read), PROTOCOLS[name].average, seed=0).value


@torch.no_grad()
def padded_nats(network, tokenizer, texts, most):
    """Encoded, padded and cut as the published scripts do; nats (B, l - 1) with ids and mask."""
    tokenizer.pad_token = tokenizer.eos_token
    batch = tokenizer(texts, return_tensors="pt", truncation=True, padding=True, max_length=most)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    logits = network(ids, attention_mask=mask).logits
    return F.cross_entropy(logits[:, :-1].mT, ids[:, 1:], reduction="none"), ids, mask


@pytest.mark.parametrize(("name", "group"), [("mdlm", 8), ("duo", 8), ("remdm", 1)])
@pytest.mark.parametrize("lengths", [(64,), (64, 40, 1, 23), (1300,)])
def test_gen_ppl_protocol_mdlm_duo_and_remdm(
    name, group, lengths, folder, scorer, own, network
) -> None:
    rows = samples(5 if lengths == (1300,) else 19, lengths)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [tokenizer.decode(row) for row in rows]
    size, total, count = min(group, len(rows)), 0.0, 0
    for start in range(0, len(rows) // size * size, size):
        chunk = texts[start : start + size]
        nats, ids, _ = padded_nats(network, tokenizer, chunk, 1024)
        for row, values in zip(ids.tolist(), nats.tolist(), strict=True):
            first = row.index(EOS) if EOS in row else None
            for place in range(1, len(row)):
                if row[place] != EOS or place == first:
                    total, count = total + values[place - 1], count + 1
    assert measured(rows, scorer, own, name) == pytest.approx(math.exp(total / count), rel=1e-5)


def test_gen_ppl_protocol_sedd(scorer, own, network) -> None:
    rows = samples(70, (48,))
    values = []
    for start in (0, 32):  # the last six are dropped
        ids = torch.tensor(rows[start : start + 32])
        with torch.no_grad():
            logits = network(ids).logits
        nats = F.cross_entropy(logits[:, :-1].mT, ids[:, 1:], reduction="none")
        values.append(nats.mean(-1).exp().mean())
    expected = float(sum(values) / 2)
    assert measured(rows, scorer, own, "sedd") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("lengths", [(64, 40, 23), (1300, 300)])
def test_gen_ppl_protocol_gidd(lengths, folder, scorer, own, network) -> None:
    rows = samples(21, lengths)  # an incomplete group of five stays
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in rows]
    total = count = 0.0
    for start in (0, 16):
        nats, _, mask = padded_nats(network, tokenizer, texts[start : start + 16], 512)
        total += float((nats * mask[:, :-1]).sum())
        count += float(mask[:, :-1].sum())
    assert measured(rows, scorer, own, "gidd") == pytest.approx(math.exp(total / count), rel=1e-5)


def test_gen_ppl_protocol_the_default_scores_everything_drawn_in_windows_with_the_scorers_bos(
    scorer, own, network
) -> None:
    rows = samples(4, (1300, 50))
    total = count = 0.0
    for row in rows:
        ids = row if row[0] == EOS else [EOS, *row]
        given = 1 if row[0] == EOS else 2  # the row's first token was given
        done = given
        for start in (0, 512, 1024):
            window = torch.tensor([ids[start : start + 1024]])
            with torch.no_grad():
                log_p = network(window).logits[0].log_softmax(-1)
            for place in range(max(done, start), min(start + 1024, len(ids))):
                total -= float(log_p[place - start - 1, ids[place]])
                count += 1
            done = max(done, min(start + 1024, len(ids)))
            if done == len(ids):
                break
    assert count == sum(map(len, rows)) - len(rows)
    expected = math.exp(total / count)
    assert measured(rows, scorer, own, "default") == pytest.approx(expected, rel=1e-5)


def test_gen_ppl_protocol_another_tokenizer_gets_text_and_its_own_special_tokens(scorer) -> None:
    foreign = make_tokenizer("bytes")
    said = [256, *b"then an", 256, *b"the end"]
    known = [True] * 5 + [False] * (len(said) - 5)
    (one,) = passages([said], [known], foreign, scorer, PROTOCOLS["default"])
    given, drawn = scorer.encode("then", False), scorer.encode(" an", False)
    assert one.ids == [EOS, *given, *drawn, EOS, *scorer.encode("the end", False)]
    assert one.scored.tolist() == [False] * (1 + len(given)) + [True] * (
        len(one.ids) - 1 - len(given)
    )
    with pytest.raises(ValueError, match=r"eval\.quality_protocol: it hands tokens"):
        passages([said], [known], foreign, scorer, PROTOCOLS["sedd"])


def test_gen_ppl_protocol_numbers_do_not_depend_on_how_many_texts_are_read_at_once(
    scorer, own
) -> None:
    rows = samples(12, (64, 40, 23))
    fixed = [[False] * len(row) for row in rows]
    read = passages(rows, fixed, own, scorer, PROTOCOLS["default"])
    one_by_one = Scorer(**vars(scorer) | {"texts_at_once": lambda length: 1})
    together = text_nats(scorer, read)
    assert text_nats(one_by_one, read) == pytest.approx(together, rel=1e-6)
    assert text_nats(scorer, read[:5]) == pytest.approx(together[:5], rel=1e-6)


def test_gen_ppl_protocol_what_cannot_be_read_has_a_reason(scorer, own) -> None:
    long = samples(2, (1300,))
    fixed = [[False] * 1300] * 2
    read = passages(long, fixed, own, scorer, PROTOCOLS["sedd"])
    assert "1300 tokens are more than the 1024" in unreadable(read, scorer, PROTOCOLS["sedd"])
    read = passages([[EOS, EOS]], [[True, True]], own, scorer, PROTOCOLS["default"])
    assert unreadable(read, scorer, PROTOCOLS["default"]) == "no text has a token that is scored"
    assert set(PROTOCOLS) == {"default", "mdlm", "duo", "remdm", "sedd", "gidd"}
