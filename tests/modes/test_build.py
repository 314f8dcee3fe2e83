"""The trainer: the callbacks of users."""

import pytest

from modes import build
from modes.settings import Settings


@pytest.mark.parametrize("name", sorted(build.OURS))
def test_users_callbacks_refuse_those_against_the_program(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^callbacks.{name}: not with this program; "):
        build.users_callbacks(Settings(callbacks={name: {}}))


def test_users_callbacks_refuse_an_unknown_monitor() -> None:
    with pytest.raises(ValueError, match=r"^callbacks.EarlyStopping.monitor=None: choose from"):
        build.users_callbacks(Settings(callbacks={"EarlyStopping": {"monitor": None}}))
