"""strategy=fsdp: weights, gradients, averages and the optimizer's state in parts, one for each
device (fully_shard of torch), with checkpoints in parts."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.fabric.utilities.optimizer import _optimizers_to_device
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.strategies.strategy import Strategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.placement_types import Placement
from torch.optim import Optimizer

from training.agreement import gathered
from training.building import Network, built_in_parts
from training.checkpoint import read_checkpoint
from training.shard_writer import Saving
from training.shards import Read, Shape

FULL = MixedPrecisionPolicy(cast_forward_inputs=False)


def shard(
    network: nn.Module, mesh: DeviceMesh, device: torch.device, low: torch.dtype | None
) -> FSDPModule:
    """Shards a DiT over `mesh` in groups that are gathered as a whole: its embedding, each block,
    its head, and the rest. Blocks are gathered, and the head's products made, in `low`; gradients
    are reduced in float32.

    The head stays gathered between its forward and its backward pass, which follow one another."""
    blocks = cast("list[nn.Module]", network.blocks)
    policy = FULL if low is None else MixedPrecisionPolicy(low, torch.float32, None, False)
    fully_shard(cast(nn.Module, network.embedding), mesh=mesh, mp_policy=FULL)
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(
        cast(nn.Module, network.head), mesh=mesh, mp_policy=FULL, reshard_after_forward=False
    )
    cast(Any, network.head).products = low
    root = cast(FSDPModule, fully_shard(network, mesh=mesh, mp_policy=FULL))
    if any(parameter.is_meta for parameter in network.parameters()):
        network.to_empty(device=device)
    # Before a part of it is called alone; there is no public way.
    root._get_fsdp_state()._lazy_init()
    return root


def rows_of(length: int, parts: int, number: int) -> slice:
    """The rows of a part of a tensor of so many, as torch.chunk and `fully_shard` have them."""
    most = -(-length // parts)
    return slice(min(number * most, length), min((number + 1) * most, length))


class FullyShardedStrategy(ModelParallelStrategy):
    """All devices share the data, and each parameter; with `within_node` those of a node share each
    parameter, and nodes have copies."""

    def __init__(self, low: torch.dtype | None = None, within_node: bool = False):
        super().__init__()
        self.low, self.within_node = low, within_node
        self.saving = Saving()
        self.rows: dict[str, Tensor] = {}  # this device's, of a module that is shapes alone so far
        # Of a part of the files that the run begins with, which are read before processes meet.
        self.check: Callable[[slice], object] = lambda part: None

    def construct(self, make: Callable[[], Network]) -> Network:
        """make(), without any weight: this device's rows of them wait in `rows`."""
        network, rows = built_in_parts(make, lambda weight: weight[self.own(len(weight))].clone())
        self.rows = {f"backbone.{name}": own for name, own in rows.items()}
        return network

    def own(self, length: int) -> slice:
        """This device's of so many rows."""
        if self.within_node:
            return rows_of(length, self.num_processes, self.local_rank)
        return rows_of(length, self.world_size, self.global_rank)

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()
        kind = self.root_device.type
        if self.within_node:
            sizes, names = (self.num_nodes, self.num_processes), ("copies", "parts")
            self._sharding = init_device_mesh(kind, sizes, mesh_dim_names=names)
        else:
            self._sharding = init_device_mesh(kind, (self.world_size,), mesh_dim_names=("parts",))

    def setup(self, trainer: L.Trainer) -> None:
        """As Lightning's, which leaves the sharding to the module."""
        assert self.accelerator is not None and self.model is not None
        self._agreed(self.check)
        self.accelerator.setup(trainer)
        module = cast(Any, self.lightning_module)
        module.place = self.place
        self.place(module.backbone)
        self._fill(module)
        self.model_to_device()
        self.barrier()
        fitting = trainer.state.fn == TrainerFn.FITTING
        if fitting:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()
        if fitting:
            _optimizers_to_device(self.optimizers, self.root_device)

    @torch.no_grad()
    def _fill(self, module: nn.Module) -> None:
        for name, weight in module.named_parameters():
            cast(DTensor, weight).to_local().copy_(self.rows.pop(name))

    def place(self, network: nn.Module) -> None:
        shard(network, self._sharding, self.root_device, self.low)

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Gradients of all but the last pass of a step stay where they are computed."""
        network = cast(FSDPModule, cast(Any, self.lightning_module).backbone)
        network.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            network.set_requires_gradient_sync(True)

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    # Names, and numbers of parameters, are those of a network that is not sharded.
    def lightning_module_state_dict(self) -> dict[str, Any]:
        return Strategy.lightning_module_state_dict(self)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        Strategy.load_model_state_dict(self, checkpoint, strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return optimizer.state_dict()

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        Strategy.load_optimizer_state_dict(self, checkpoint)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any | None = None
    ) -> None:
        """Goes on being written when it returns: see `Saving`."""
        self.saving.begin(checkpoint, Path(filepath), self.broadcast(uuid.uuid4().hex))

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> Any:
        """Of any strategy, with this device's part of every tensor. Each process checks some of
        the files."""

        def read(part: slice) -> Any:
            return read_checkpoint(checkpoint_path, "checkpointing.save_dir", True, self._own, part)

        return self._agreed(read)

    def _agreed(self, read: Callable[[slice], Any]) -> Any:
        """read(this process's part of the files); ValueError in all processes for the damage that
        one of them finds."""
        result, found = None, ""
        try:
            result = read(slice(self.global_rank, None, self.world_size))
        except ValueError as error:
            found = str(error)
        if damage := next(filter(None, gathered(found)), None):
            raise ValueError(damage)
        return result

    def _own(self, shape: Shape, read: Read) -> Tensor:
        """This device's rows, as the parameter of that shape has them."""
        if not shape:
            return read(slice(None))
        local = read(self.own(shape[0])).to(self.root_device, copy=True)
        placements: list[Placement] = [Replicate(), Shard(0)] if self.within_node else [Shard(0)]
        whole = torch.empty(shape, device="meta")
        return DTensor.from_local(
            local,
            self._sharding,
            placements,
            run_check=False,
            shape=whole.shape,
            stride=whole.stride(),
        )

    def teardown(self) -> None:
        self.saving.wait()
        super().teardown()


class EvenValidation(L.Callback):
    """Has every process ask the network as often: a network in parts answers all or none. One with
    fewer batches sees its last one again, which does not count."""

    def __init__(self) -> None:
        self.seen = 0
        self.batch: Any = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen = 0

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.seen, self.batch = self.seen + 1, batch

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        seen = torch.tensor(self.seen, device=pl_module.device)
        most = cast(Tensor, trainer.strategy.reduce(seen.clone(), reduce_op="max"))
        for number in range(self.seen, int(most)):
            pl_module.validation_step(self.batch, number)
        self.batch = None
