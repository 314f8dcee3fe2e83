"""Memory of a step whose weights are shared out, by arithmetic: what is shared, and what is not."""

import pytest

from backbones import cost
from backbones.cost import Sizes, Step, Work
from backbones.sharded_cost import fitting_batch, moment_bytes, peak_bytes, state_bytes

LARGE = Sizes(50257, 50257, 4096, 1024, 32, 32, 128, 0.0, False, activation_checkpointing=True)
STEP = Step(LARGE, Work(), low=2, averaged=True, parts=8, accumulates=False)


def test_what_is_kept_between_steps_is_shared_out() -> None:
    whole, own = cost.state_bytes(STEP), state_bytes(STEP)
    for part in ("weights", "gradients", "optimizer", "averaged weights"):
        assert own[part] == pytest.approx(whole[part] / 8)
    assert state_bytes(STEP._replace(accumulates=True))["gradients"] == whole["gradients"]
    assert state_bytes(STEP._replace(averaged=False))["averaged weights"] == 0
    teacher = STEP._replace(work=Work(teacher=True))
    head = 4 * cost.parameters(LARGE)["head"]
    assert state_bytes(teacher)["teacher"] == pytest.approx(whole["weights"] / 8 + head)


def test_what_is_gathered_is_not() -> None:
    """With a thousand parts the sums that are left are those of a group of parameters."""
    many = STEP._replace(parts=1024, sizes=LARGE._replace(n_blocks=64))
    head = 4 * cost.parameters(LARGE)["head"]
    block = 2 * cost.parameters(LARGE)["blocks"] / LARGE.n_blocks  # in bf16
    found = moment_bytes(many, 0)
    assert found["the head"] == pytest.approx(
        (1 + 1 + 1 + 1) * head
    )  # its copies in bf16: the last
    assert found["a block"] == pytest.approx(head + 3 * block, rel=1e-3)
    table = 4 * cost.parameters(LARGE)["embedding"]
    assert found["the embedding"] == pytest.approx(2 * table + 2 * block, rel=0.05)


@pytest.mark.parametrize("parts", [1, 8, 64])
@pytest.mark.parametrize("limit", [24e9, 80e9, 400e9])
def test_the_largest_divisor_that_fits(parts: int, limit: float) -> None:
    step, share = STEP._replace(parts=parts), 512 // parts
    found = fitting_batch(step, limit, share)
    fits = [
        batch
        for batch in range(1, share + 1)
        if share % batch == 0
        and peak_bytes(step._replace(accumulates=batch != share), batch) <= limit
    ]
    assert found == max(fits, default=0)


def test_a_single_pass_keeps_no_whole_gradients() -> None:
    single, several = (peak_bytes(STEP._replace(accumulates=flag), 1) for flag in (False, True))
    assert several > single + 0.8 * cost.state_bytes(STEP)["gradients"]


def test_eight_billion_parameters_fit_in_parts_alone() -> None:
    step = STEP._replace(sizes=LARGE._replace(length=4096))
    assert cost.largest_batch(step._replace(parts=0), 80e9) == 0
    assert fitting_batch(step._replace(parts=1), 80e9, 512) == 0
    eight, many = step._replace(parts=8), step._replace(parts=64)
    assert (
        fitting_batch(eight, 40e9, 64) == 0
    )  # 14 GB, and 27 of gradients where passes are several
    assert 0 < fitting_batch(eight, 80e9, 64) < 64
    assert fitting_batch(many, 80e9, 8) == 8
