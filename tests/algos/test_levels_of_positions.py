"""Algorithms whose positions have noise levels of their own."""

import pytest
import torch

from algos.base import Draws
from algos.denoising import Noised
from tests.algos.configured import DIFFUSION, a_batch, build


@pytest.mark.parametrize("name", DIFFUSION)
@torch.no_grad()
def test_nll_of_equal_levels_is_that_of_the_text(name: str) -> None:
    algorithm, batch = build(name).eval(), a_batch()
    whole = algorithm.evaluation_noise(batch)
    shape = batch["tokens"].shape
    if algorithm.blocks_of(shape[1]) > 1:  # whose blocks have levels of their own
        whole = whole._replace(t=whole.t[:, 0].contiguous(), weight=whole.weight[:, 0])
    spread = whole._replace(
        t=whole.t.unsqueeze(-1).expand(shape), weight=whole.weight.unsqueeze(-1).expand(shape)
    )
    values = []
    for noised in (whole, spread):
        algorithm.evaluation_noise = lambda batch, draws, noised=noised: noised
        values.append(algorithm.nll(batch, Draws(passes=2)))
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_nll_takes_the_level_of_each_position() -> None:
    """MDLM's network does not see the time: a text with levels of its positions costs at each what
    the same noisy text costs there at that level."""
    algorithm, batch = build("mdlm").eval(), a_batch()
    whole = algorithm.evaluation_noise(batch)
    x = batch["tokens"]
    t = torch.rand(x.shape, dtype=torch.float64)
    weight = torch.rand(x.shape, dtype=torch.float64)

    def nll(noised: Noised) -> torch.Tensor:
        algorithm.evaluation_noise = lambda batch, draws: noised
        return algorithm.nll(batch)

    values = nll(whole._replace(t=t, weight=weight))
    for place in range(x.shape[1]):
        own = nll(whole._replace(t=t[:, place].contiguous(), weight=weight[:, place]))
        torch.testing.assert_close(values[:, place], own[:, place])
