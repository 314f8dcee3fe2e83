import math

import numpy as np
import pytest
import torch
from scipy.special import ndtri_exp
from scipy.stats import chi2_contingency, chisquare, ks_1samp, ks_2samp

from integral.competitors import Competitors, _quantile, competitors, latent
from tests.integral.reference import quadrature

SURE = 1e-4  # a correct draw fails a test with this chance, and the seed is fixed


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(11)


def gammas(*values):
    return torch.tensor(values, dtype=torch.float64)


def tokens(count, size):
    return torch.randint(size, (1, count))


def columns(values):
    return values.reshape(-1, values.shape[-1]).numpy()


def test_shapes_and_types():
    x = torch.randint(9, (3, 5))
    drawn = competitors(x, 4, 9)
    assert drawn.own.shape == (3, 5) and drawn.own.dtype == torch.float64
    assert drawn.others.shape == drawn.heights.shape == (3, 5, 4)
    assert drawn.others.dtype == torch.int64 and drawn.heights.dtype == torch.float64
    assert latent(drawn, x, gammas(-2, 0, 3)).shape == (3, 5)


@pytest.mark.parametrize("k", [0, -1, 9])
def test_as_many_competitors_as_there_are_others(k):
    with pytest.raises(ValueError, match=rf"algo\.k={k}: .* 1 to 8"):
        competitors(tokens(3, 9), k, 9)


@pytest.mark.parametrize("size, k", [(2, 1), (7, 1), (7, 2), (7, 5), (7, 6), (60, 3)])
@pytest.mark.parametrize("gamma", [-1.5, 1.0])
def test_a_token_stays_as_often_as_the_operator_says(size, k, gamma):
    x = tokens(100_000, size)
    z = latent(competitors(x, k, size), x, gammas(gamma))
    keep = float(quadrature(gammas(gamma), size)[0])
    chance = keep + (1 - keep) / size
    stayed = float((z == x).double().mean())
    assert abs(stayed - chance) < 4 * math.sqrt(chance * (1 - chance) / x.numel())
    counts = np.bincount((z - x)[z != x] % size, minlength=size)[1:]
    assert counts.min() >= 0 and (size == 2 or chisquare(counts).pvalue > SURE)


@pytest.mark.parametrize("size", [2, 30521, 256_000])
def test_extreme_vocabularies(size):
    x = tokens(50_000, size)
    drawn = competitors(x, 1, size)
    assert drawn.others.min() >= 0 and drawn.others.max() < size
    assert not (drawn.others == x.unsqueeze(-1)).any() and drawn.heights.isfinite().all()
    uniform = (size - 1) * torch.special.log_ndtr(drawn.heights).flatten()
    assert ks_1samp(uniform.exp().numpy(), lambda u: u).pvalue > SURE
    assert ks_1samp(drawn.others.flatten().numpy() / size, lambda u: u).pvalue > SURE or size == 2
    keep = float(quadrature(gammas(-2.9), size)[0])
    stayed = float((latent(drawn, x, gammas(-2.9)) == x).double().mean())
    assert abs(stayed - keep - (1 - keep) / size) < 4 * math.sqrt(keep * (1 - keep) / x.numel())


@pytest.mark.parametrize("size, k", [(6, 5), (4, 2), (50, 3)])
def test_heights_are_the_largest_of_a_full_draw(size, k):
    count = 40_000
    heights = columns(competitors(tokens(count, size), k, size).heights)
    full = torch.randn(count, size - 1, dtype=torch.float64).sort(-1, descending=True)[0]
    full = full[:, :k].numpy()
    assert (np.diff(heights) <= 0).all()
    for rank in range(k):
        assert ks_2samp(heights[:, rank], full[:, rank]).pvalue > SURE
    for gap in range(k - 1):  # the joint law, not only each rank's
        assert ks_2samp(-np.diff(heights)[:, gap], -np.diff(full)[:, gap]).pvalue > SURE
    assert abs(np.corrcoef(heights.T) - np.corrcoef(full.T)).max() < 0.03


@pytest.mark.parametrize("size, k", [(5, 2), (4, 3), (6, 2)])
def test_others_are_every_ordered_choice_equally_often(size, k):
    x = tokens(60_000, size)
    others = competitors(x, k, size).others
    assert not (others == x.unsqueeze(-1)).any()
    ranks = (others - x.unsqueeze(-1)) % size - 1  # 0..N-2 whatever x is
    code = (ranks * (size - 1) ** torch.arange(k)).sum(-1).flatten()
    counts = np.bincount(code, minlength=(size - 1) ** k)
    assert (counts > 0).sum() == math.perm(size - 1, k)  # distinct, and all of them
    assert chisquare(counts[counts > 0]).pvalue > SURE


def test_two_times_of_one_path_have_the_joint_law_of_all_gaussians():
    size, count = 4, 60_000
    earlier, later = gammas(-0.8), gammas(0.6)
    x = torch.full((1, count), 2)

    def table(z_s, z_t):
        return np.bincount((size * z_s + z_t).flatten(), minlength=size**2)

    e = torch.randn(count, size, dtype=torch.float64)
    full = []
    for gamma in (earlier, later):
        w = torch.sqrt(torch.sigmoid(gamma)) * e
        w[:, 2] += torch.sqrt(torch.sigmoid(-gamma))
        full.append(w.argmax(-1))
    expected = table(*full)
    for k in (1, 3):
        drawn = competitors(x, k, size)
        found = table(latent(drawn, x, earlier), latent(drawn, x, later))
        possible = (found + expected) > 0
        assert ((found > 0) == (expected > 0)).all()  # once it has left x it does not change
        assert chi2_contingency([found[possible], expected[possible]]).pvalue > SURE


def test_heights_keep_both_tails():
    uniform = -torch.logspace(-290, 2, 500, dtype=torch.float64)
    expected = torch.from_numpy(ndtri_exp(uniform.numpy()))
    torch.testing.assert_close(_quantile(uniform), expected, rtol=1e-10, atol=1e-12)


def test_z_is_x_only_where_x_is_the_largest():
    """Being among the k largest is not enough."""
    x = torch.tensor([[4]])
    heights = torch.tensor([[[1.0, -1.0]]], dtype=torch.float64)
    others = torch.tensor([[[7, 2]]])
    for own, z in [(-0.5, 7), (-5.0, 7), (0.5, 4)]:
        drawn = Competitors(torch.tensor([[own]], dtype=torch.float64), others, heights)
        assert int(latent(drawn, x, gammas(0.0))) == z  # mu = 1
