"""Philox4x32-10 against the published vectors, and the uniform numbers made of it."""

import numpy as np
import pytest
import torch
from scipy import stats

from diffusion.philox import philox, uniforms

# counter, key, words: the known answers of the paper's own library (Random123)
KNOWN = [
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("counter, key, words", KNOWN)
def test_published_vectors(counter, key, words):
    got = philox(tuple(torch.tensor([word]) for word in counter), key)
    assert tuple(int(word) for word in got) == words


def test_uniforms_are_functions_of_key_example_position_and_number():
    index = torch.tensor([0, 3, 2**40, 2**32 - 1, 2**62])
    whole = uniforms(index, 7, 5, key=2**63 + 11)
    assert whole.shape == (5, 5, 7) and whole.dtype == torch.float64
    assert torch.equal(uniforms(index.flip(0), 7, 5, 2**63 + 11), whole.flip(1))
    assert torch.equal(uniforms(index[1:3], 4, 2, 2**63 + 11), whole[:2, 1:3, :4])
    assert (uniforms(index, 7, 5, 12) != whole).all()
    assert len(whole.unique()) == whole.numel()


def test_uniforms_are_multiples_of_two_to_the_minus_53_below_one():
    values = uniforms(torch.arange(500), 100, 2, 1) * 2.0**53
    assert torch.equal(values, values.floor()) and values.max() < 2.0**53
    lowest = values.long() & 0xFF
    assert stats.chisquare(np.bincount(lowest.flatten().numpy(), minlength=256)).pvalue > 1e-4


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_uniforms_are_uniform_and_independent_along_every_axis(axis):
    values = uniforms(torch.arange(300), 200, 4, 9).movedim(axis, 0)
    assert stats.kstest(values.flatten().numpy(), "uniform").pvalue > 1e-4
    first, second = values[:-1].flatten(), values[1:].flatten()
    table, _, _ = np.histogram2d(first.numpy(), second.numpy(), bins=16, range=[[0, 1]] * 2)
    assert stats.chisquare(table.flatten()).pvalue > 1e-4
