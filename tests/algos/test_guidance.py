"""Guidance by a prompt, against its formula on the logits of a random network."""

import pytest
import torch

from algos.facts import FACTS
from diffusion.guidance import Guidance
from tests.algos.configured import DIFFUSION, build

N, L, B = 5, 6, 4
GUIDED = [name for name in DIFFUSION if not FACTS[name].blocks]  # what is finished is not read anew


def outputs(prediction) -> torch.Tensor:
    """(B, L, V) of a sampler's prediction, float64."""
    return prediction.apply(
        lambda logits: logits.double(), where=torch.ones(B, L, dtype=torch.bool)
    )


@pytest.mark.parametrize("name", GUIDED)
@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_logits_move_away_from_those_without_the_prompt(name: str, weight: float) -> None:
    algorithm = build(name).eval()
    given, t = torch.randint(N, (B, L)), torch.full((B,), 0.4, dtype=torch.float64)
    fixed = torch.zeros(B, L, dtype=torch.bool)
    fixed[:, :3] = True
    prompt = fixed.clone()
    prompt[:, 0] = False  # such as BOS, which every text has
    found = {}

    def look(denoise, process, z, clamp):
        rows = torch.tensor([2, 0, 1, 3])
        torch.manual_seed(8)
        found["guided"] = outputs(denoise(clamp(z)[rows], t, rows))
        torch.manual_seed(8)
        noise = process.prior((B, L))
        shown = clamp(z)[rows]
        for key, state in {"with": shown, "without": torch.where(prompt, noise, shown)}.items():
            found[key] = outputs(algorithm.prediction(algorithm.hidden(state, t)))
        return z

    with torch.no_grad():
        algorithm.sample(given, fixed, look, guidance=Guidance(weight, prompt))
    expected = found["with"] + weight * (found["with"] - found["without"])
    torch.testing.assert_close(found["guided"], expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found["guided"], found["with"], atol=1e-2)


def test_without_weight_nothing_moves() -> None:
    algorithm = build("mdlm").eval()
    z, t = torch.randint(N + 1, (B, L)), torch.full((B,), 0.5, dtype=torch.float64)
    guidance = Guidance(0.0, torch.ones(B, L, dtype=torch.bool))
    with torch.no_grad():
        moved = guidance.hidden(algorithm.hidden, algorithm.process, z, t, None)
        torch.testing.assert_close(moved, algorithm.hidden(z, t))
