import numpy as np
import pytest
import torch
import torch.nn.functional as F

from samplers.autoregressive import autoregressive
from tests.diffusion import brute_force
from tests.samplers.exact_network import POISON, ExactPrediction, codes

SIZE, LENGTH = 3, 4


class Remembering:
    """p(x_l | x_<l) of a language, fed with the newest tokens only, as a cached network is."""

    def __init__(self, language):
        self.language = torch.from_numpy(language)
        self.seen = None
        self.sizes = []

    def __call__(self, newest):
        self.sizes.append(newest.shape[1])
        self.seen = newest if self.seen is None else torch.cat([self.seen, newest], 1)
        following = self.language
        known = self.seen.shape[1]
        table = following.flatten(known).view(SIZE**known, SIZE, -1).sum(-1)
        law = table / table.sum(-1, keepdim=True)
        return ExactPrediction(law[codes(self.seen, SIZE)].unsqueeze(1))


@pytest.mark.parametrize("given", [1, 2, 3])
def test_continuations_follow_the_language_given_the_prompt(given):
    torch.manual_seed(13)
    language = brute_force.random_language(SIZE, LENGTH, seed=given)
    prompt = torch.tensor([2, 0, 1])[:given].expand(30_000, given)
    step = Remembering(language)
    start = F.pad(prompt, (0, LENGTH - given), value=POISON)
    tokens = autoregressive(step, start, torch.full((30_000,), given))
    assert tokens.shape == (30_000, LENGTH) and torch.equal(tokens[:, :given], prompt)
    assert step.sizes == [given] + [1] * (LENGTH - given - 1)
    law = language[tuple(prompt[0])].flatten()
    counts = np.bincount(codes(tokens[:, given:], SIZE), minlength=len(law))
    assert brute_force.agrees(counts, law / law.sum())


def test_a_prompt_of_full_length_is_returned_without_a_call():
    tokens = torch.randint(SIZE, (5, LENGTH))
    step = Remembering(brute_force.random_language(SIZE, LENGTH, seed=0))
    assert torch.equal(autoregressive(step, tokens, torch.full((5,), LENGTH)), tokens)
    assert step.sizes == []


def test_prompts_of_several_lengths_go_on_in_one_batch():
    """Each text follows the language given its own prompt, and keeps it."""
    torch.manual_seed(14)
    language = brute_force.random_language(SIZE, LENGTH, seed=4)
    prompts = torch.tensor([[2, POISON, POISON, POISON], [2, 1, 0, POISON], [1, 1, 2, 0]])
    given, count = torch.tensor([1, 3, 4]), 20_000
    step = Remembering(language)
    tokens = autoregressive(step, prompts.repeat(count, 1), given.repeat(count))
    assert step.sizes == [1, 1, 1]
    for number, (prompt, length) in enumerate(zip(prompts, given.tolist(), strict=True)):
        made, known = tokens[number::3], prompt[:length]
        assert (made[:, :length] == known).all()
        law = language[tuple(known)].flatten()
        counts = np.bincount(codes(made[:, length:], SIZE), minlength=len(law))
        assert brute_force.agrees(counts, law / law.sum())
