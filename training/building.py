"""Builds a network of which no process ever has all weights: those of a layer leave memory as soon
as the layer is made, but for what the process keeps of them."""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook

Network = TypeVar("Network", bound=nn.Module)


def built_in_parts(
    make: Callable[[], Network], own: Callable[[Tensor], Tensor]
) -> tuple[Network, dict[str, Tensor]]:
    """make(), with shapes alone, and own(weight) of every weight by its name.

    The generator of random numbers goes through what it goes through in make(), so that the
    weights are the same. A layer has its first weights when its module takes it in: what `make`
    changes afterwards is lost."""
    kept: dict[int, Tensor] = {}
    shapes: list[nn.Parameter] = []  # alive, so that no two have one id

    def leave(module: nn.Module) -> None:
        for name, weight in module._parameters.items():
            if weight is None or weight.is_meta:
                continue
            shape = nn.Parameter(weight.detach().to("meta"), weight.requires_grad)
            kept[id(shape)] = own(weight.detach())
            shapes.append(shape)
            module._parameters[name] = shape

    handle = register_module_module_registration_hook(lambda _, name, layer: leave(layer))
    try:
        network = make()
    finally:
        handle.remove()
    leave(network)
    return network, {name: kept[id(shape)] for name, shape in network.named_parameters()}
