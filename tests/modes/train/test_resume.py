"""Which settings a run may go on with."""

from typing import Any

import pytest

from modes.settings import stored
from modes.train.resume import flat, refuse_other
from tests.modes.test_configs import compose


def settings(*overrides: str) -> dict[str, Any]:
    return flat(stored(compose(*overrides)))


def test_refuse_other_takes_more_steps() -> None:
    refuse_other(settings("trainer.max_steps=8"), settings("trainer.max_steps=12"))


def test_refuse_other_refuses_more_steps_where_the_curriculum_is_a_share_of_them() -> None:
    short, long = (settings("algo=duo", f"trainer.max_steps={steps}") for steps in (8, 12))
    message = r"^checkpointing.save_dir=.*: the run there has trainer.max_steps=8, not 12 \(its "
    with pytest.raises(ValueError, match=message):
        refuse_other(short, long)


def test_refuse_other_takes_more_steps_where_the_step_of_the_curriculum_is_given() -> None:
    runs = (
        settings("algo=duo", "algo.curriculum_steps=4", f"trainer.max_steps={steps}")
        for steps in (8, 12)
    )
    refuse_other(*runs)


def test_refuse_other_refuses_another_step_of_the_curriculum() -> None:
    first, other = (settings("algo=duo", f"algo.curriculum_steps={step}") for step in (4, 5))
    with pytest.raises(ValueError, match=r"has algo.curriculum_steps=4, not 5; choose another"):
        refuse_other(first, other)
