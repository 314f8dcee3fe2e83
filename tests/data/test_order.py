"""The training stream: a function of seed and step, the same for any split of a step."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from data.order import EvalSampler, StepSampler, TrainOrder, accumulation, by_length


def flat(lists: Iterable[Iterable[Any]]) -> list[Any]:
    return list(itertools.chain.from_iterable(lists))


def steps(start: int, count: int, batch: int, world: int, rank: int) -> list[list[int]]:
    """The examples of `count` steps of global batch 24, one list per step."""
    sampler = StepSampler(start, 24, batch, world, rank)
    micro = list(itertools.islice(sampler, count * sampler.micro_batches))
    per_step = sampler.micro_batches
    return [flat(micro[i : i + per_step]) for i in range(0, len(micro), per_step)]


@pytest.mark.parametrize(("batch", "world"), [(24, 1), (6, 1), (4, 2), (2, 3), (1, 4), (3, 8)])
def test_a_step_takes_the_same_examples_however_it_is_split(batch: int, world: int) -> None:
    ranks = [steps(5, 3, batch, world, rank) for rank in range(world)]
    for number in range(3):
        taken = flat(rank[number] for rank in ranks)
        assert sorted(taken) == list(range((5 + number) * 24, (6 + number) * 24))


def test_micro_batches_follow_the_formula() -> None:
    batch, world, total = 3, 2, 24
    for rank in range(world):
        sampler = iter(StepSampler(2, total, batch, world, rank))
        for step, a in itertools.product((2, 3), range(4)):
            expected = [step * total + (a * world + rank) * batch + b for b in range(batch)]
            assert next(sampler) == expected


def test_resuming_is_starting_at_the_step() -> None:
    assert steps(0, 7, 4, 2, 1)[4:] == steps(4, 3, 4, 2, 1)


def test_each_epoch_is_a_permutation_of_its_own() -> None:
    order = TrainOrder(100, seed=1)
    blocks, epochs = order.locate(np.arange(350))
    assert epochs.tolist() == [j // 100 for j in range(350)]
    passes = [blocks[start : start + 100].tolist() for start in (0, 100, 200)]
    assert all(sorted(one) == list(range(100)) for one in passes)
    assert len({tuple(one) for one in passes}) == 3
    assert passes[0] != TrainOrder(100, seed=2).locate(np.arange(100))[0].tolist()


def test_a_block_is_found_without_those_before_it() -> None:
    every, _ = TrainOrder(37, seed=4).locate(np.arange(370))
    for places in ([369, 5, 200], [36, 37], [0]):
        blocks, _ = TrainOrder(37, seed=4).locate(np.array(places))
        assert blocks.tolist() == every[places].tolist()


def test_permutations_are_uniform() -> None:
    counts = np.zeros((5, 5))
    for seed in range(2000):
        blocks, _ = TrainOrder(5, seed).locate(np.arange(5))
        counts[np.arange(5), blocks] += 1
    chi_square = ((counts - 400) ** 2 / 400).sum()
    assert chi_square < 16 + 5 * np.sqrt(2 * 16)


@pytest.mark.parametrize(
    ("count", "world", "batch"), [(10, 1, 4), (10, 3, 2), (3, 4, 2), (8, 2, 4)]
)
def test_evaluation_takes_each_block_once(count: int, world: int, batch: int) -> None:
    samplers = [EvalSampler(np.arange(count), batch, world, rank) for rank in range(world)]
    assert sorted(flat(flat(samplers))) == list(range(count))
    for rank, sampler in enumerate(samplers):
        assert flat(sampler) == list(range(rank, count, world))
        assert len(sampler) == len(list(sampler))


@pytest.mark.parametrize(("total", "batch", "world"), [(8, 3, 1), (8, 4, 4), (8, 0, 1), (0, 1, 1)])
def test_sizes_that_do_not_divide_are_refused(total: int, batch: int, world: int) -> None:
    with pytest.raises(ValueError, match=rf"loader\.global_batch_size={total}.*={batch}.*{world}"):
        accumulation(total, batch, world)
    assert accumulation(24, 3, 2) == 4


def test_by_length_puts_every_text_once_into_batches_of_one_length() -> None:
    lengths = [3, 5, 3, 3, 5, 1, 3]
    batches = by_length([[0] * length for length in lengths], 3)
    assert [[lengths[i] for i in batch] for batch in batches] == [[1], [3, 3, 3], [3], [5, 5]]
    assert sorted(i for batch in batches for i in batch) == list(range(7))
