"""Settings as main.py composes them, each only once: Hydra takes an eighth of a second."""

import importlib
from collections.abc import Sequence
from functools import cache

from hydra import initialize_config_dir

import main
from modes.settings import Settings


@cache
def composed(*overrides: str) -> Settings:
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        return main.compose(list(overrides))


def compose(overrides: Sequence[str]) -> Settings:
    """As `main.compose`, which modes are handed."""
    return composed(*overrides)


def start(*overrides: str) -> None:
    """The mode of the settings, checked as main.py checks them; errors come as they are raised."""
    settings = composed(*overrides)
    main.check(settings, main.keys_of(list(overrides)))
    importlib.import_module(main.MODES[settings.mode]).run(settings, list(overrides), compose)
