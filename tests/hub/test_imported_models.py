"""Imported models are evaluated over all of time and sampled from as the suite's own."""

from functools import partial
from typing import Any

import pytest
import torch

from algos.base import batch_of
from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive
from samplers.score import analytic

LENGTH = 16
SAMPLED = {
    "ckpt/mdlm.ckpt": ancestral,
    "ckpt/d3pm.ckpt": ancestral,
    "ckpt/sedd.ckpt": analytic,
    "ckpt/duo_base.ckpt": ancestral,
    "ckpt/duo.ckpt": ancestral,
    "ckpt/duo_distilled.ckpt": ancestral,
    "hf/gidd": ancestral,
    "hf/sedd": analytic,
}


@pytest.mark.parametrize("name", [*SAMPLED, "ckpt/ar.ckpt"])
def test_imported_models_have_a_bound_over_all_of_time(
    name: str, imported: Any, algorithm_of: Any
) -> None:
    model = imported(name)
    algorithm = algorithm_of(model)
    torch.manual_seed(0)
    with torch.no_grad():
        nats = algorithm.nll(batch_of(torch.randint(model.vocab_size, (32, LENGTH)), given=0))
    assert bool(torch.isfinite(nats).all())
    assert float(nats.mean()) > 1


@pytest.mark.parametrize("name", SAMPLED)
def test_imported_models_draw_any_of_their_states(
    name: str, imported: Any, algorithm_of: Any
) -> None:
    """From nothing but noise to texts without a mask; uniform models reach the extra state, too."""
    model = imported(name)
    algorithm = algorithm_of(model)
    torch.manual_seed(0)
    tokens = torch.zeros(64, LENGTH, dtype=torch.long)
    grid = torch.linspace(1, 0, 9, dtype=torch.float64)
    with torch.no_grad():
        texts = algorithm.sample(
            tokens, torch.zeros_like(tokens, dtype=torch.bool), partial(SAMPLED[name], grid=grid)
        )
    assert 0 <= int(texts.min()) <= int(texts.max()) < model.vocab_size
    noise = algorithm.process.prior((64, LENGTH))
    assert algorithm.process.mask == model.vocab_size
    assert int(noise.max()) == (60 if model.mask is None else model.vocab_size)


def test_imported_autoregressive_models_continue_a_text(imported: Any, algorithm_of: Any) -> None:
    model = imported("ckpt/ar.ckpt")
    tokens = torch.full((8, LENGTH), 59)
    with torch.no_grad():
        texts = algorithm_of(model).sample(
            tokens, torch.arange(LENGTH) == 0 * tokens, autoregressive
        )
    assert bool((texts[:, 0] == 59).all())
    assert int(texts.max()) < model.vocab_size == 60
