"""Errors over passes, against the spread of repeated measurements."""

import math

import pytest
import torch

from evaluation.downstream.paired import estimate, lead, precision

PASSES, REPEATS = 50, 4000


def measurements(shared: float) -> torch.Tensor:
    """(REPEATS, 2, PASSES) values about 1.0 and 0.6, of which a part is common to both answers."""
    generator = torch.Generator().manual_seed(4)
    own = torch.randn(REPEATS, 2, PASSES, generator=generator, dtype=torch.float64)
    common = torch.randn(REPEATS, 1, PASSES, generator=generator, dtype=torch.float64)
    means = torch.tensor([[1.0], [0.6]], dtype=torch.float64)
    return means + math.sqrt(shared) * common + math.sqrt(1 - shared) * own


def test_paired_an_estimate_is_a_mean_with_the_error_of_a_mean() -> None:
    values = measurements(0.0)[:, 0]
    found = [estimate(one) for one in values]
    means = torch.tensor([one.value for one in found])
    stated = torch.tensor([one.stderr for one in found]).square().mean().sqrt()
    assert float(stated) == pytest.approx(float(means.std()), rel=0.04)
    assert float(means.mean()) == pytest.approx(1.0, abs=4 / math.sqrt(REPEATS * PASSES))


def test_paired_an_exact_value_has_no_error() -> None:
    assert estimate(torch.tensor([-3.5])) == (-3.5, 0.0)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_paired_the_error_of_a_lead_is_that_of_the_difference(shared: float) -> None:
    found = [lead(list(one)) for one in measurements(shared)]
    leads = torch.tensor([one.value for one in found])
    difference = math.sqrt(2 * (1 - shared) / PASSES)
    stated = math.sqrt(sum(one.stderr**2 for one in found) / REPEATS)
    assert stated == pytest.approx(difference, rel=0.03)
    unpaired = math.sqrt(sum(one.unpaired**2 for one in found) / REPEATS)
    assert unpaired == pytest.approx(math.sqrt(2 / PASSES), rel=0.03)
    if shared:  # else the second is sometimes ahead
        assert float(leads.std()) == pytest.approx(difference, rel=0.04)
        assert float(leads.mean()) == pytest.approx(0.4, abs=0.01)


def test_paired_the_lead_is_between_the_two_likeliest() -> None:
    answers = [torch.tensor([value, value + 1]) for value in (-5.0, -2.0, -9.0, -3.0)]
    assert lead(answers) == (1.0, 0.0, pytest.approx(math.sqrt(2) * 0.5))


def test_paired_a_task_is_as_precise_as_its_questions() -> None:
    sure = [torch.tensor([-1.0, -1.2]), torch.tensor([-9.0, -9.4])]
    close = [torch.tensor([-1.0, -1.4]), torch.tensor([-1.3, -1.2]), torch.tensor([-8.0, -8.0])]
    found = precision([sure, close])
    assert found.undecided == 0.5
    assert found.log_likelihood_stderr == pytest.approx(
        math.sqrt((0.1**2 + 0.2**2 + 0.2**2 + 0.05**2) / 5)
    )
    assert found.lead_stderr == pytest.approx(math.sqrt((0.1**2 + 0.25**2) / 2))


def test_paired_a_task_without_choices_has_no_leads() -> None:
    found = precision([[torch.tensor([-1.0, -2.0])]])
    assert (found.lead_stderr, found.lead_stderr_unpaired, found.undecided) == (None, None, None)


def test_paired_no_question_is_refused() -> None:
    with pytest.raises(ValueError, match="no question was asked"):
        precision([])
