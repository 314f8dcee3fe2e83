"""The texts that an exported model generates have the law of the suite's own sampler."""

from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import chi2_contingency

from algos.base import Algorithm
from algos.build import ALGORITHMS
from algos.settings import read_algo
from data.tokenizers import make_tokenizer
from hub.export import Exported, config_of
from hub.modeling_discrete_diffusion import (
    AutoregressiveLM,
    DiffusionLM,
    DiscreteDiffusionConfig,
)
from hub.trained import algorithm_of
from modes.settings import stored
from samplers.build import draw
from samplers.config import sampler_config
from samplers.settings import Sampling
from tests.composed import composed

UNLIKE = ("duo_distill", "bd3lm")  # its student has the network of duo; it has no layout here
COUNT, STEPS, LENGTH = 20_000, 3, 4
CASES = {name: [f"algo={name}"] for name in ALGORITHMS if name not in UNLIKE}
CASES |= {
    "gidd of version 1.0": ["algo=gidd", "algo.version='1.0'", "algo.p_uniform=0.3"],
    "mdlm told the time": ["algo=mdlm", "algo.time_conditioning=true"],
    "geometric": ["algo=sedd", "noise=geometric"],
    "cosine": ["algo=udlm", "noise=cosine"],
}


def models(overrides: list[str]) -> tuple[Algorithm, Any]:
    """An algorithm of three tokens with large random weights, and the same network exported."""
    sizes = ["model.hidden_size=16", "model.n_blocks=1", "model.n_heads=2", "model.cond_dim=8"]
    line = ["data=markov", "data.states=2", f"model.length={LENGTH}", *sizes, *overrides]
    settings = stored(composed(*line))
    tokenizer = make_tokenizer("symbols:2")
    algorithm = algorithm_of(settings, tokenizer.vocab_size).eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in algorithm.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    source = Exported(settings, algorithm.state_dict(), tokenizer.vocab_size, tokenizer, {}, "")
    kind = AutoregressiveLM if algorithm.facts.causal else DiffusionLM
    exported = kind(DiscreteDiffusionConfig(**config_of(source))).eval()
    exported.load_state_dict(algorithm.state_dict())
    return algorithm, exported


def drawn_here(algorithm: Algorithm, algo: dict[str, Any], temperature: float) -> torch.Tensor:
    sampling = Sampling(steps=STEPS, temperature=temperature)
    sampler = sampler_config(sampling, read_algo(algo), LENGTH, 1)
    tokens = torch.full((COUNT, LENGTH), 3)
    tokens[:, 0] = 2
    fixed = torch.zeros_like(tokens, dtype=torch.bool)
    fixed[:, 0] = True
    torch.manual_seed(6)
    return draw(sampler, algorithm, tokens, fixed).tokens


def p_value(one: torch.Tensor, other: torch.Tensor) -> float:
    """That both are of one law, of texts that occur often enough."""
    counts = [Counter(map(tuple, tokens.tolist())) for tokens in (one, other)]
    texts = [text for text in counts[0] | counts[1] if counts[0][text] + counts[1][text] >= 20]
    assert len(texts) >= 4
    table = [[count[text] for text in texts] for count in counts]
    rest = [COUNT - sum(row) for row in table]
    rows = [[*row, more] for row, more in zip(table, rest, strict=True)] if any(rest) else table
    return float(chi2_contingency(rows).pvalue)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_generate_has_the_law_of_the_sampler(case: str, temperature: float) -> None:
    algorithm, exported = models(CASES[case])
    if algorithm.facts.predicts_ratios and temperature != 1:
        with pytest.raises(ValueError, match="predicts ratios"):
            exported.generate(num_samples=1, temperature=temperature)
        return
    options = {} if algorithm.facts.causal else {"steps": STEPS}
    theirs = exported.generate(num_samples=COUNT, temperature=temperature, seed=7, **options)
    assert (theirs[:, 0] == 2).all() and theirs.max() < 3
    assert p_value(drawn_here(algorithm, exported.config.algo, temperature), theirs) > 1e-4


def test_several_tokens_behind_kept_ones_see_no_later_one() -> None:
    _, exported = models(["algo=ar"])
    tokens = torch.randint(3, (5, LENGTH), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = exported.backbone(tokens)
        past: list[list[torch.Tensor]] = [[]]
        parts = [exported.backbone(part, past=past) for part in tokens.split((1, 3), 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-5, atol=1e-5)
