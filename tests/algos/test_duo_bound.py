"""The law of DUO's curriculum loss: its mean, its two forms, its window."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad
from scipy.stats import ks_2samp
from torch import Tensor, nn

from algos.noise import GaussianTime
from backbones.layers import Embedding
from integral.transformation import Transformation
from tests.algos.configured import a_batch, build

N = 5


class Table(nn.Module):
    """A network that predicts from the token of the position alone: its embeddings are logits."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.embedding = Embedding.from_pretrained(F.pad(logits, (0, 0, 0, 1)))
        self.head = nn.Linear(N, N)
        self.head.load_state_dict({"weight": torch.eye(N), "bias": torch.zeros(N)})

    def forward(self, tokens: Tensor, level: Tensor, weights: Tensor | None = None) -> Tensor:
        if weights is None:
            return tokens
        return (self.embedding(tokens) * weights.unsqueeze(-1)).sum(-2)


def test_with_all_competitors_both_forms_are_one_law() -> None:
    """The losses of tokens, at a temperature where inputs are mixtures; with another temperature
    the law is another."""
    logits = 4 * torch.randn(N, N, generator=torch.Generator().manual_seed(4))
    batch = a_batch(N, 5, 3000)

    def losses(tau: float, seed: int, **own: Any) -> np.ndarray:
        algorithm = build("duo", N, 5, tau=tau, **own)
        algorithm.training_times = lambda batch: 0.4 * torch.ones(3000).double()
        algorithm.backbone = Table(logits)
        torch.manual_seed(seed)
        with torch.no_grad():
            return algorithm.objective(batch)[batch["scored"]].numpy()

    one = losses(0.3, 1, curriculum="efficient", k=N - 1)
    assert ks_2samp(one, losses(0.3, 2, curriculum="full")).pvalue > 1e-3
    assert ks_2samp(one, losses(0.5, 3, curriculum="full")).pvalue < 1e-9


def published_bound(p: np.ndarray, x: int, alpha: float) -> float:
    """E over z of equation 17 of the paper for alpha' = -1, with the sign of its code; p (N, N) the
    predictions by z."""
    total, kappa = 0.0, (1 - alpha) / (N * alpha + 1 - alpha)
    for z in range(N):
        eq, bar = float(z == x), N * alpha * p[z] + 1 - alpha
        inner = N / (1 - alpha + N * alpha * eq) - N / bar[z]
        inner -= (kappa * eq + 1 - eq) * np.log(bar[z] / bar).sum()
        inner -= (1 - eq) * N * alpha / (1 - alpha) * np.log(bar[z] / bar[x])
        inner -= ((N - 1) * kappa * eq - (1 - eq) / kappa) * np.log(kappa)
        total += (alpha * eq + (1 - alpha) / N) * -inner / (N * alpha)
    return total


@pytest.mark.parametrize("form", ["efficient", "full"])
def test_its_mean_is_the_bound_between_the_two_levels(form: str) -> None:
    logits = torch.randn(N, N, generator=torch.Generator().manual_seed(4))
    algorithm, batch = build("duo", N, 3, curriculum=form, tau=1e-8), a_batch(N, 3, 40_000)
    algorithm.sampling_eps = (0.0, 0.0)
    algorithm.backbone, algorithm.global_batch_size = Table(logits), 40_000
    torch.manual_seed(5)
    with torch.no_grad():
        sums = algorithm.objective(batch).sum(-1)
    p = logits.softmax(-1).double().numpy()
    each = np.array(
        [quad(lambda a, x=x: published_bound(p, x, a), 0.05, 0.95)[0] for x in range(N)]
    )
    expected = torch.from_numpy(each)[batch["tokens"][:, 1:]].sum(-1)
    error = float((sums - expected).std()) / math.sqrt(len(sums))  # less: times are stratified
    assert abs(float((sums - expected).mean())) < 4 * error
    assert error < 0.01 * float(expected.mean())


@pytest.mark.parametrize(("size", "low", "high"), [(50257, -3.55, -1.85), (30522, -3.5, -1.75)])
def test_the_window_is_where_alpha_is_from_95_to_5_percent(
    size: int, low: float, high: float
) -> None:
    """The published ends are these rounded, to alphas of 0.942 to 0.945 and 0.049."""
    time = GaussianTime(size, None, None, (0.95, 0.05))
    ends = time.alpha(torch.tensor([0.0, 1.0]).double()).tolist()
    assert ends == pytest.approx([0.95, 0.05], rel=1e-12)
    assert (time.start, time.end) == pytest.approx((low, high), abs=0.03)
    published = Transformation(size)(torch.tensor([low, high]))
    assert published.tolist() == pytest.approx([0.9435, 0.049], abs=2e-3)
