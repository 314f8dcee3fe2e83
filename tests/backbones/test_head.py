"""The head within a strategy that shards parameters."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import fully_shard

from backbones.dit import DiT
from diffusion.bound import next_token_nats
from diffusion.chunked import chunked
from diffusion.prediction import Prediction


@pytest.fixture
def one_process(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_sharded_head_has_the_values_and_gradients_of_a_whole_one(
    build: Callable[..., DiT], tokens: Tensor, one_process: None
) -> None:
    whole = build(causal=True)
    sharded = copy.deepcopy(whole)
    mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
    fully_shard(sharded.head, mesh=mesh)
    x = tokens.clamp_max(10)
    hidden = [net(x).detach().requires_grad_() for net in (whole, sharded)]
    for net, inputs in zip((whole, sharded), hidden, strict=True):
        chunked(next_token_nats, net.head, inputs, x).sum().backward()
    assert torch.equal(hidden[0].grad, hidden[1].grad)
    for own, other in zip(whole.head.parameters(), sharded.head.parameters(), strict=True):
        assert torch.equal(own.grad, other.grad.full_tensor())
    with torch.no_grad():
        mass = [Prediction(net.head, hidden[0]).mass_at(x) for net in (whole, sharded)]
    assert torch.equal(*mass)
