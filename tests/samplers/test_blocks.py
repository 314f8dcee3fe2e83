"""Block by block: the same texts with keys and values kept or read again, ends, prompts, and
counts."""

from functools import partial

import pytest
import torch
from torch import Tensor

from algos.bd3lm import BD3LM
from diffusion.logits_warper import LogitsWarper
from samplers.blocks import block_by_block
from samplers.build import Counter
from tests.algos.configured import build, sampler_of

N, L, SIZE = 5, 12, 3
PLAIN = LogitsWarper()
MASKED = ("ancestral", "psi", "first_hitting", "ordered")
EVERY = [*(("masked", name) for name in MASKED), ("uniform", "ancestral"), ("uniform", "psi")]


def model(noise: str = "masked", block_size: int = SIZE, length: int = L) -> BD3LM:
    """In float64: what is read twice differs by less than any draw."""
    torch.manual_seed(3)
    made = build("bd3lm", N, length, block_size=block_size, noise=noise)
    assert isinstance(made, BD3LM)
    with torch.no_grad():
        made.backbone.modulation.bias.zero_()
        made.backbone.head.bias.zero_()
    return made.double().eval()


def blank(rows: int, length: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(rows, length, dtype=torch.long), torch.zeros(rows, length, dtype=torch.bool)


def texts(
    algorithm: BD3LM,
    predictor: str,
    tokens: Tensor,
    fixed: Tensor,
    cached: bool = True,
    counter: Counter | None = None,
    steps: int = 4,
    **own: object,
) -> Tensor:
    torch.manual_seed(17)
    sampler = sampler_of(predictor, steps, algorithm, counter, cached)
    return algorithm.sample(tokens, fixed, partial(sampler, **own))


@pytest.mark.parametrize(("noise", "predictor"), EVERY)
@pytest.mark.parametrize("length", [L, 31])
def test_texts_are_the_same_with_keys_and_values_or_without(
    noise: str, predictor: str, length: int
) -> None:
    """Also of texts longer than the network, which sees a window of them."""
    algorithm, asked = model(noise), blank(6, length)
    kept = texts(algorithm, predictor, *asked)
    again = texts(algorithm, predictor, *asked, cached=False)
    assert torch.equal(kept, again)
    assert kept.shape == (6, length) and kept.min() >= 0 and kept.max() < N
    assert len(kept.unique(dim=0)) == 6


@pytest.mark.parametrize(("noise", "predictor"), EVERY)
def test_one_block_draws_what_the_plain_algorithm_draws(noise: str, predictor: str) -> None:
    algorithm = model(noise, L)
    plain = build("mdlm" if noise == "masked" else "udlm", N, L).double().eval()
    plain.load_state_dict(algorithm.state_dict())
    fixed = torch.rand(6, L) < 0.3
    tokens = torch.randint(N, (6, L))
    ours = texts(algorithm, predictor, tokens, fixed)
    torch.manual_seed(17)
    assert torch.equal(ours, plain.sample(tokens, fixed, sampler_of(predictor, 4, plain)))


@pytest.mark.parametrize("given", [1, 3, 5, 13, 20])
def test_prompts_of_any_length_are_kept_and_seen(given: int) -> None:
    """Within a block, to its end, and longer than the window."""
    algorithm, (tokens, fixed) = model(), blank(200, 24)
    tokens[:100, :given] = torch.randint(N, (given,))
    tokens[100:, :given] = torch.randint(N, (given,))
    fixed[:, :given] = True
    kept = texts(algorithm, "ancestral", tokens, fixed)
    assert torch.equal(kept, texts(algorithm, "ancestral", tokens, fixed, cached=False))
    assert torch.equal(kept[fixed], tokens[fixed])
    assert len(kept.unique(dim=0)) > 100


def test_the_window_is_what_the_network_sees() -> None:
    """What lies further back than a window of each layer plays no part; what lies within does."""
    algorithm, (tokens, fixed) = model(), blank(40, 2 * L)
    tokens[:, : 2 * L - SIZE] = torch.randint(N, (40, 2 * L - SIZE))
    fixed[:, : 2 * L - SIZE] = True
    layers = len(algorithm.backbone.blocks)
    assert layers == 1  # so the last block sees the L - SIZE positions before it
    drawn = texts(algorithm, "ancestral", tokens, fixed)[:, -SIZE:]
    for place, same in ((L - 1, True), (L, False)):
        other = tokens.clone()
        other[:, place] = (other[:, place] + 1) % N
        found = texts(algorithm, "ancestral", other, fixed)[:, -SIZE:]
        difference = algorithm_outputs(algorithm, tokens) - algorithm_outputs(algorithm, other)
        assert bool(difference.abs().max() < 1e-9) == same
        assert torch.equal(found, drawn) or not same


def algorithm_outputs(algorithm: BD3LM, tokens: Tensor) -> Tensor:
    """Of the last block, masked, behind the rest."""
    reader = algorithm_reader(algorithm, tokens[:, :-SIZE])
    z = torch.full((len(tokens), SIZE), algorithm.process.mask)
    prediction = reader(z, torch.ones(len(tokens), dtype=torch.float64))
    return prediction.hidden


@torch.no_grad()
def algorithm_reader(algorithm: BD3LM, before: Tensor):
    found = []

    def opened(open_reader, process, tokens, fixed) -> Tensor:
        reader = open_reader(True)
        reader.finish(tokens)
        found.append(reader)
        return tokens

    algorithm.sample(before, before.bool(), opened)
    return found[0]


@pytest.mark.parametrize("cached", [True, False])
def test_rows_end_on_their_own(cached: bool) -> None:
    """A text that is over changes nothing in what the others may be: it ends at its first EOS and
    has nothing else behind it, and given tokens end nothing."""
    algorithm, (tokens, fixed), end = model(), blank(60, 36), 2
    tokens[:, 0] = end
    fixed[:, 0] = True
    counter = Counter()
    found = texts(algorithm, "ancestral", tokens, fixed, cached, counter, end=end)
    first = ((found == end) & ~fixed).long().argmax(-1)
    over = ((found == end) & ~fixed).any(-1)
    assert over.sum() > 40 and len(first[over].unique()) > 5
    for row, place in zip(found[over], first[over], strict=True):
        assert (row[place:] == end).all()
    assert (found[~over][:, 1:] != end).all()
    endless = Counter()
    texts(algorithm, "ancestral", tokens, fixed, cached, endless)
    assert counter.texts < 0.6 * endless.texts


def test_texts_that_end_follow_the_law_of_those_that_do_not() -> None:
    """Up to the first EOS."""
    algorithm, (tokens, fixed) = model(), blank(4000, 6)
    ended = texts(algorithm, "ancestral", tokens, fixed, end=1)
    torch.manual_seed(99)
    plain = algorithm.sample(tokens, fixed, sampler_of("ancestral", 4, algorithm))
    later = (plain == 1).long().cumsum(-1) > 0
    plain = torch.where(later, 1, plain)
    place = N ** torch.arange(6)
    codes = torch.stack([(found * place).sum(-1) for found in (ended, plain)])
    common = codes.flatten().bincount().argsort(descending=True)[:30]
    counts = torch.stack([(code.unsqueeze(-1) == common).sum(0) for code in codes]).double()
    error = (counts.sum(0) + 1).sqrt()
    assert ((counts[0] - counts[1]).abs() < 5 * error).all()


def test_positions_are_counted() -> None:
    """With keys and values every look is at a block, and every finished one is read once; without
    them at all that stands before it as well."""
    algorithm, (tokens, fixed) = model(), blank(2, 30)
    seen = []
    hook = algorithm.backbone.register_forward_hook(lambda net, given, out: seen.append(given[0]))
    for cached in (True, False):
        counter = Counter()
        seen.clear()
        texts(algorithm, "ordered", tokens, fixed, cached, counter)
        assert counter.positions == sum(part.numel() for part in seen)
        assert counter.texts == sum(map(len, seen)) == 2 * (30 + 9 * cached)
        expected = 39 * SIZE if cached else sum(3 * place for place in range(3, 31, 3))
        assert counter.positions == 2 * expected
    hook.remove()


def test_a_prompt_is_read_at_once_and_not_drawn() -> None:
    algorithm, (tokens, fixed) = model(), blank(2, L)
    fixed[:, : 2 * SIZE] = True
    counter, calls = Counter(), []
    hook = algorithm.backbone.register_forward_hook(lambda net, given, out: calls.append(given[0]))
    found = texts(algorithm, "ordered", tokens, fixed, counter=counter)
    hook.remove()
    assert [part.shape[1] for part in calls] == [2 * SIZE] + 3 * [SIZE] + [SIZE] + 3 * [SIZE]
    assert (found[:, : 2 * SIZE] == 0).all()


def test_nothing_is_drawn_where_all_is_given() -> None:
    algorithm, (tokens, fixed) = model(), blank(2, L)
    counter = Counter()
    assert torch.equal(texts(algorithm, "ancestral", tokens, ~fixed, counter=counter), tokens)
    assert counter.texts == counter.positions == 0


def test_the_loop_knows_nothing_of_networks() -> None:
    """A reader that repeats what it is told of: the loop finishes each block before the next."""
    told: list[Tensor] = []

    class Reader:
        positions = evaluations = 0

        def finish(self, tokens: Tensor) -> None:
            told.append(tokens)

        def keep(self, rows: Tensor) -> None:
            raise AssertionError("no text ends")

    def loop(reader: Reader, process: object, z: Tensor, clamp: object) -> Tensor:
        return torch.full_like(z, len(told))

    class Noise:
        def prior(self, shape: tuple[int, int], device: object) -> Tensor:
            return torch.zeros(shape, dtype=torch.long)

    found = block_by_block(lambda cached: Reader(), Noise(), *blank(1, 7), loop, 3)
    assert found.tolist() == [[0, 0, 0, 1, 1, 1, 2]]
    assert [part.shape[1] for part in told] == [3, 3]
