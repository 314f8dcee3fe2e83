"""Calls of an algorithm's network, seen from outside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from algos.base import Algorithm


@contextmanager
def network_calls(algorithm: Algorithm, told: Callable[[], object]) -> Iterator[None]:
    """Within it, `told` is called after every call of the network."""

    def hook(*_: Any) -> None:  # a value would replace the network's output
        told()

    handle = algorithm.backbone.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
