"""Settings with other values in some of their nodes."""

from dataclasses import replace
from typing import Any

from modes.settings import Settings


def changed(settings: Settings, **nodes: Any) -> Settings:
    """`changed(settings, mode="train", model={"length": 4})`: a dict changes keys of its node."""
    return replace(
        settings,
        **{
            name: replace(getattr(settings, name), **keys) if isinstance(keys, dict) else keys
            for name, keys in nodes.items()
        },
    )
