"""The nucleus of a prediction, without sorting what need not be sorted."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from diffusion.logits_warper import LogitsWarper


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(61)


@pytest.mark.parametrize("nucleus", ["keep-crossing", "drop-crossing"])
@pytest.mark.parametrize("flat", [0, 1, 5, 12])
def test_only_rows_with_a_large_nucleus_are_sorted_and_all_have_that_of_a_full_sort(flat, nucleus):
    size, top_p = 3000, 0.9
    logits = torch.randn(12, size) * 8  # a few tokens have it all
    logits[:flat] /= 20  # thousands share it
    logits = logits[torch.randperm(12)]
    with Sorted() as watched:
        found = LogitsWarper(top_p=top_p, nucleus=nucleus)(logits)
    assert watched.numbers == flat * size
    p, order = logits.double().softmax(-1).sort(descending=True)
    before = p.cumsum(-1) - (p if nucleus == "keep-crossing" else 0)
    inside = before < top_p
    inside[:, 0] = True
    kept = torch.zeros_like(inside).scatter(-1, order, inside)
    assert torch.equal(found > -math.inf, kept)
    assert torch.equal(found[kept], logits[kept])


class Sorted(TorchDispatchMode):
    """Counts the numbers that are sorted in full."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name == "aten::sort":
            self.numbers += args[0].numel()
        return func(*args, **(kwargs or {}))
