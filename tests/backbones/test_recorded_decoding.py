"""The operations that a decoder records on a GPU are the same for every token, and give the hidden
states and texts of those that are called one by one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backbones.dit import DiT
from backbones.replay import RECORDERS, Work, cuda_graph
from diffusion.prediction import Prediction
from samplers.autoregressive import autoregressive

Build = Callable[..., DiT]
STEPS = [[1] * 10, [6, 1, 1, 1, 1], [3, 1, 2, 1, 1, 2], [10]]
READS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU does as if it could record."""
    monkeypatch.setitem(RECORDERS, "cpu", lambda work, device: work)


def hidden_of(net: DiT, tokens: Tensor, steps: list[int]) -> Tensor:
    read = net.decoder(12)
    return torch.cat([read(part) for part in tokens.split(steps, dim=1)], 1)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("changes", [{}, {"n_heads": 1}, {"hidden_size": 12, "n_heads": 2}])
def test_hidden_states_are_those_of_the_full_forward(
    build: Build, tokens: Tensor, steps: list[int], changes: dict[str, int], recorded: None
) -> None:
    net = build(causal=True, dropout=0.3, **changes)
    hidden = hidden_of(net, tokens, steps)
    torch.testing.assert_close(hidden, net(tokens).detach(), atol=1e-5, rtol=1e-5)


def texts(net: DiT, start: Tensor, given: Tensor) -> Tensor:
    read = net.decoder(start.shape[1])
    torch.manual_seed(5)
    return autoregressive(lambda newest: Prediction(net.head, read(newest)[:, -1:]), start, given)


@pytest.mark.parametrize("given", [[1] * 6, [4] * 6, [1, 2, 3, 5, 8, 24]])
def test_texts_are_the_same(
    build: Build, given: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, start = build(causal=True), torch.randint(5, (6, 24))
    with torch.no_grad():
        net.head.weight.normal_()
    called = texts(net, start, torch.tensor(given))
    assert len(called.unique()) > 2
    monkeypatch.setitem(RECORDERS, "cpu", lambda work, device: work)
    assert torch.equal(texts(net, start, torch.tensor(given)), called)


class Operations(TorchDispatchMode):
    """Names, shapes, strides and numbers of what is done."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        result = function(*arguments, **(keywords or {}))
        leaves = tree_leaves((arguments, keywords, result))
        facts = [
            (one.shape, one.stride(), one.dtype) if isinstance(one, Tensor) else one
            for one in leaves
        ]
        self.seen.append((function._schema.name, facts))
        return result


def test_every_token_has_the_same_operations(
    build: Build, tokens: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shape and no number depends on the place, and nothing is read on the host."""
    calls: list[Any] = []

    def record(work: Work, device: torch.device) -> Work:
        def watched() -> Tensor:
            with Operations() as operations:
                result = work()
            calls.append(operations.seen)
            return result

        return watched

    monkeypatch.setitem(RECORDERS, "cpu", record)
    hidden_of(build(causal=True), tokens, [3, *[1] * 7])
    assert len(calls) == 7
    assert all(call == calls[0] for call in calls)
    names = [name.removeprefix("aten::") for name, _ in calls[0]]
    assert "mm" in names and not set(names) & set(READS)


def test_a_graph_is_recorded_once_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for what needs a GPU."""
    done: list[str] = []

    class Stream:
        def wait_stream(self, other: Any) -> None:
            done.append("streams meet")

    class Graph:
        def replay(self) -> None:
            done.append("replayed")

    @contextmanager
    def named(what: str) -> Iterator[None]:
        done.append(what)
        yield
        done.append(f"end of {what}")

    def graph(graph: Graph, capture_error_mode: str) -> Any:
        assert capture_error_mode == "thread_local"
        return named("recording")

    fakes = {"Stream": Stream, "CUDAGraph": Graph, "graph": graph, "current_stream": Stream}
    fakes |= {"device": lambda device: named(str(device)), "stream": lambda own: named("aside")}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    result = torch.ones(1)

    def work() -> Tensor:
        done.append("work")
        return result

    replay = cuda_graph(work, torch.device("cuda", 1))
    assert replay() is result and replay() is result
    aside = ["streams meet", "aside", "work", "end of aside", "streams meet"]
    recording = ["recording", "work", "end of recording"]
    replays = ["replayed", "replayed"]
    assert done == ["cuda:1", *aside, *recording, "end of cuda:1", *replays]
