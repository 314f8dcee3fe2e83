"""Cost of a network by arithmetic, beside real networks."""

from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from backbones.cost import (
    Sizes,
    Step,
    Work,
    activation_bytes,
    forward_flops,
    largest_batch,
    parameters,
    peak_bytes,
    training_flops,
)
from backbones.dit import DiT
from tests.backbones.test_model_configs import read

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "model"
MODELS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
TRIAL = Sizes(300, 300, 128, 64, 3, 4, 32, 0.0, causal=False, activation_checkpointing=False)


def network(sizes: Sizes) -> DiT:
    torch.manual_seed(0)
    return DiT(**sizes._asdict())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_network(name: str, causal: bool) -> None:
    keys = read(name)
    own = {key: keys[key] for key in Sizes._fields if key in keys}
    sizes = Sizes(vocab_size=50257, outputs=50258, causal=causal, **own)
    with torch.device("meta"):
        net = network(sizes)
    found = parameters(sizes)
    assert found["embedding"] == net.embedding.weight.numel()
    assert found["blocks"] == sum(p.numel() for p in net.blocks.parameters())
    assert found["head"] == sum(p.numel() for p in net.head.parameters())
    assert sum(found.values()) == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("causal", [False, True])
def test_forward_operations_are_those_that_torch_counts(causal: bool) -> None:
    sizes = TRIAL._replace(causal=causal)
    net, tokens = network(sizes), torch.randint(300, (3, 64))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net.head(net(tokens, None if causal else torch.rand(3)))
    expected = counter.get_total_flops() / tokens.numel()
    assert sum(forward_flops(sizes).values()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("again", [False, True])
def test_backward_operations_are_those_that_torch_counts(again: bool) -> None:
    sizes = TRIAL._replace(activation_checkpointing=again)
    net, tokens = network(sizes), torch.randint(300, (3, 64))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net.head(net(tokens, torch.rand(3))).sum().backward()
    expected = counter.get_total_flops() / tokens.numel()
    assert training_flops(sizes, Work()) == pytest.approx(expected, rel=0.02)


def test_extra_texts_and_a_teacher_cost_what_they_run() -> None:
    *network_parts, head = forward_flops(TRIAL).values()
    network_alone = sum(network_parts)
    plain = training_flops(TRIAL, Work())
    assert plain == 3 * (network_alone + head)
    assert training_flops(TRIAL, Work(head=0.5)) == plain - 1.5 * head
    assert training_flops(TRIAL, Work(texts=1.25)) == plain + 0.75 * network_alone
    assert training_flops(TRIAL, Work(teacher=True)) == plain + network_alone + head


def kept_bytes(sizes: Sizes, low: int) -> float:
    """Bytes per token of what autograd keeps of a forward pass: of those arrays that have a place
    for every token, which a prime length tells from the weights and their copies."""
    tokens = torch.randint(sizes.vocab_size, (2, sizes.length))
    kept: dict[int, int] = {}
    alive = []  # so that no address is used twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        alive.append(tensor)
        if tensor.numel() % tokens.numel() == 0:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16, enabled=low == 2),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        network(sizes)(tokens, None if sizes.causal else torch.rand(2))
    return sum(kept.values()) / tokens.numel()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("low", "most"), [(4, 1.02), (2, 1.1)])
def test_activations_are_those_that_autograd_keeps(causal: bool, low: int, most: float) -> None:
    """In bf16 a CPU keeps less: it does not widen the gated branches."""
    sizes = TRIAL._replace(causal=causal, length=61)
    expected = sum(activation_bytes(sizes, low).values())
    assert 0.98 <= expected / kept_bytes(sizes, low) <= most


def test_checkpointing_keeps_the_input_of_each_block_and_one_block() -> None:
    once, again = (
        activation_bytes(TRIAL._replace(activation_checkpointing=flag), 2) for flag in (False, True)
    )
    assert again["a block"] == once["blocks"] / TRIAL.n_blocks
    assert again["inputs of blocks"] == 4 * TRIAL.hidden_size * TRIAL.n_blocks


@pytest.mark.parametrize("limit", [1e6, 1e8, 5e9])
def test_the_largest_batch_fits_and_one_more_does_not(limit: float) -> None:
    step = Step(TRIAL, Work(), low=2, averaged=True)
    most = largest_batch(step, limit)
    assert peak_bytes(step, most + 1) > limit
    assert most == 0 or peak_bytes(step, most) <= limit
