"""Calls of a network, seen from outside."""

import pytest
import torch

from algos.calls import network_calls
from tests.algos.configured import a_batch, build


@pytest.mark.parametrize("name", ["ar", "mdlm"])
def test_network_calls_are_told_within_the_block_alone(name: str) -> None:
    algorithm, batch, told = build(name), a_batch(), []
    with torch.no_grad():
        expected = algorithm.nll(batch)
        with network_calls(algorithm, lambda: told.append(1)):
            assert torch.equal(algorithm.nll(batch), expected)
        assert told == [1]
        algorithm.nll(batch)
    assert told == [1]


def test_network_calls_end_with_an_error() -> None:
    algorithm, told = build("mdlm"), []
    with pytest.raises(KeyboardInterrupt), network_calls(algorithm, lambda: told.append(1)):
        raise KeyboardInterrupt
    with torch.no_grad():
        algorithm.nll(a_batch())
    assert told == []
