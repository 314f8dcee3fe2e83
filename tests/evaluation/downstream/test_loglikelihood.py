"""Log-likelihoods of continuations, on a language that is known exactly."""

import math

import numpy as np
import pytest
import torch

from algos.base import Algorithm
from evaluation.downstream.loglikelihood import Answer, LogLikelihoods, Pair
from evaluation.downstream.paired import estimate, lead
from tests.algos.configured import DIFFUSION, build
from tests.algos.knowing import teach
from tests.diffusion import brute_force

SIZE, LENGTH = 3, 3
LANGUAGE = brute_force.random_language(SIZE, LENGTH, seed=21)
MASKED = ["mdlm", "sedd"]  # tight for every text, not only on average; so is D3PM for one token


def taught(name: str) -> Algorithm:
    algorithm = build(name, SIZE, LENGTH).eval()
    teach(algorithm, LANGUAGE)
    return algorithm


def scored(algorithm: Algorithm, pairs: list[Pair], passes: int, **more: object) -> list[Answer]:
    options = {"eos": 0, "batch_size": 512} | more
    return LogLikelihoods(algorithm, LENGTH, passes=passes, **options)(pairs, quiet=True)


def exact(context: list[int], continuation: list[int]) -> float:
    """log p(continuation | context), where both together are a whole text."""
    joint = LANGUAGE[tuple(context)]
    return math.log(joint[tuple(continuation)] / joint.sum())


CASES = [([0, 2], [1]), ([1, 1], [0]), ([2], [0, 1]), ([], [1, 0, 2])]


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize(("context", "continuation"), CASES)
def test_loglikelihood_masked_diffusion_that_knows_the_language_is_exact(
    name: str, context: list[int], continuation: list[int]
) -> None:
    (answer,) = scored(taught(name), [Pair(context, continuation, 5)], 4000)
    found = estimate(answer.passes)
    assert found.value == pytest.approx(exact(context, continuation), abs=4 * found.stderr)
    assert found.stderr < 0.13


@pytest.mark.parametrize("name", DIFFUSION)
def test_loglikelihood_no_bound_is_above_the_language(name: str) -> None:
    """In expectation over the language it could not be; with a given text before it, what the
    network takes for noise in there can only cost."""
    algorithm, rest = taught(name), [list(one) for one in np.ndindex(SIZE, SIZE)]
    pairs = [Pair([1], one, number) for number, one in enumerate(rest)]
    truth = [exact([1], one) for one in rest]
    weights = [math.exp(one) for one in truth]
    found = [estimate(answer.passes) for answer in scored(algorithm, pairs, 1500)]
    excess = sum(w * (t - one.value) for w, t, one in zip(weights, truth, found, strict=True))
    error = math.sqrt(sum((w * one.stderr) ** 2 for w, one in zip(weights, found, strict=True)))
    assert excess > -3 * error
    assert error < 0.1
    if name in MASKED:
        assert excess < 3 * error


def test_loglikelihood_a_full_score_is_the_mean_of_the_whole_text() -> None:
    (answer,) = scored(taught("mdlm"), [Pair([1], [2], 0)], 4000, score="full", eos=0)
    found = estimate(answer.passes)
    assert found.value == pytest.approx(exact([], [1, 2, 0]) / LENGTH, abs=4 * found.stderr)
    assert found.stderr < 0.06


@pytest.mark.parametrize("name", DIFFUSION)
def test_loglikelihood_choices_of_a_question_are_measured_on_the_same_noise(name: str) -> None:
    """The spread of the difference, measured again and again, is smaller than were each choice on
    noise of its own; the stated error covers it."""
    algorithm, passes, repeats = build(name, 20, 12).eval(), 16, 40
    context, choices = [19, 3, 4, 5], ([7, 8, 9], [7, 8, 10])
    together = [Pair(context, list(one), n) for n in range(repeats) for one in choices]
    apart = [Pair(context, list(choices[1]), repeats + n) for n in range(repeats)]
    answers = LogLikelihoods(algorithm, 12, 0, passes, 512)([*together, *apart], quiet=True)
    values = torch.stack([answer.passes for answer in answers])
    first, second, alone = values[0:-repeats:2], values[1:-repeats:2], values[-repeats:]
    paired = (first - second).mean(1).std()
    unpaired = (first - alone).mean(1).std()
    assert paired < 0.75 * unpaired
    stated = [lead([one, other]) for one, other in zip(first, second, strict=True)]
    error = math.sqrt(sum(one.stderr**2 for one in stated) / repeats)
    assert float(paired) < 1.2 * error
    assert error < 0.75 * math.sqrt(sum(one.unpaired**2 for one in stated) / repeats)


def test_loglikelihood_errors_shrink_with_the_root_of_the_passes() -> None:
    """The stated ones, and the actual spread with them: the same pair asked as 40 questions."""
    algorithm, pairs = build("mdlm", 20, 8).eval(), [Pair([19, 2], [0, 1], n) for n in range(40)]
    answers = LogLikelihoods(algorithm, 8, 0, 512, 2048)(pairs, quiet=True)
    stated, spread = [], []
    for passes in (64, 512):
        parts = [part for answer in answers for part in answer.passes.split(passes)]
        found = [estimate(part) for part in parts]
        stated.append(math.sqrt(sum(one.stderr**2 for one in found) / len(found)))
        spread.append(float(torch.tensor([one.value for one in found]).std()))
    assert stated[0] / stated[1] == pytest.approx(math.sqrt(8), rel=0.05)
    assert spread[0] == pytest.approx(stated[0], rel=0.15)
    assert spread[1] == pytest.approx(stated[1], rel=0.35)


@pytest.mark.parametrize("name", ["ar", "mdlm", "udlm"])
def test_loglikelihood_an_answer_depends_on_its_question_alone(name: str) -> None:
    """Not on the batch, nor on what else is asked."""
    algorithm = build(name, 20, 12).eval()
    pairs = [Pair([19, *range(n)], [5, 6][: 1 + n % 2], n) for n in range(9)]
    every = LogLikelihoods(algorithm, 12, 0, 4, 100)(pairs, quiet=True)
    few = LogLikelihoods(algorithm, 12, 0, 4, 3)(pairs[::-2], quiet=True)
    for one, other in zip(every[::-2], few, strict=True):
        torch.testing.assert_close(one.passes, other.passes, rtol=1e-5, atol=1e-5)
        assert one.greedy == other.greedy


@pytest.mark.parametrize("name", ["mdlm", "d3pm"])
def test_loglikelihood_likeliest_is_by_one_look_at_nothing_but_masks(name: str) -> None:
    """Each position by itself: p(x_1 | x_0) and p(x_2 | x_0) say nothing of each other."""
    algorithm = taught(name)
    for first in range(SIZE):
        joint = LANGUAGE[first]
        best = [int(joint.sum(1).argmax()), int(joint.sum(0).argmax())]
        every = [[a, b] for a in range(SIZE) for b in range(SIZE)]
        answers = scored(algorithm, [Pair([first], one, 0) for one in every], 2)
        assert [one for one, answer in zip(every, answers, strict=True) if answer.greedy] == [best]


def test_loglikelihood_the_end_of_a_long_context_is_kept() -> None:
    for name, room in (("ar", 7), ("mdlm", 6)):  # a causal network does not read the last token
        algorithm = build(name, 20, 6).eval()
        log_likelihoods = LogLikelihoods(algorithm, 6, 0, 2, 8)
        long, short = log_likelihoods(
            [Pair([9, 1, 2, 3, 4, 5, 6], [7, 8], 0), Pair([3, 4, 5, 6][6 - room :], [7, 8], 0)]
        )
        assert log_likelihoods.truncated == 1
        if name == "mdlm":
            torch.testing.assert_close(long.passes, short.passes)
        with pytest.raises(ValueError, match=r"continuation of 7 tokens.* model.length=6"):
            log_likelihoods([Pair([1], [2] * 7, 0)])


def test_loglikelihood_one_pass_of_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"eval.passes=1: at least 2"):
        LogLikelihoods(taught("mdlm"), LENGTH, 0, 1, 8)
