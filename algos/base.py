"""The interface of every algorithm, and its training step."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from algos.facts import Facts
from backbones.dit import DiT
from diffusion.guidance import Guidance
from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from diffusion.process import Process
from diffusion.times import DROPOUT, example_seeds

# tokens (B, L) int64, scored and noised (B, L) bool; index (B,) int64, which stays on the CPU
Batch = dict[str, Tensor]
Optimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
Average = Callable[[], dict[str, Tensor]]
PLAIN = LogitsWarper()  # changes nothing


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be a DTensor, whose parts other processes have, as a plain one."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def batch_of(tokens: Tensor, given: int, index: Tensor | None = None) -> Batch:
    """Texts (B, L) of which all but the first `given` tokens are noised and scored, numbered by
    `index` (B,), else from zero."""
    inner = torch.ones_like(tokens, dtype=torch.bool)
    inner[:, :given] = False
    index = torch.arange(len(tokens)) if index is None else index
    return {"tokens": tokens, "scored": inner, "noised": inner, "index": index}


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on `device`, without waiting, but for its index: times and seeds are functions of
    it that the CPU computes, which would have to wait for the device to have it back."""
    return {
        key: part if key == "index" else part.to(device, non_blocking=True)
        for key, part in batch.items()
    }


@dataclass(frozen=True)
class Draws:
    """The times and noises of an evaluation: pass `number` of `passes`, whose mean counts; uniform
    times in the range `times` under the noise of training, or all of time under the closed
    noise."""

    number: int = 0
    passes: int = 1
    times: Sequence[float] | None = None


FIRST = Draws()  # what a validation within training sees


class Algorithm(L.LightningModule):
    """A network and what is done with it. Concrete algorithms say what is minimised, reported and
    sampled."""

    facts: Facts
    nll_is_bound: bool
    process: Process | None = None  # None: texts are drawn token by token
    clean_share = 0.0  # of the texts of a training step the network sees once more without noise
    context_share = 0.0  # of the positions of a text it reads beside the noisy ones, unscored

    def __init__(
        self,
        backbone: DiT,
        vocab_size: int,
        seed: int = 0,
        optimizer: Optimizer | None = None,
        lr_factor: Callable[[int], float] | None = None,
        average: Average | None = None,
    ):
        """`average` returns the averaged weights by name, where training keeps them."""
        super().__init__()
        self.backbone = backbone
        self.vocab_size = vocab_size
        self.seed = seed
        self.average = average
        # Of the strategy: gives another network, of shapes alone, memory as it has this one.
        self.place: Callable[[DiT], object] | None = None
        # Of the passes of a step so far: nats, scored tokens, positions.
        self._step_sums: Tensor | None = None
        self._drops = backbone.dropout > 0
        self._optimizer = optimizer
        self._lr_factor = lr_factor

    @abstractmethod
    def objective(self, batch: Batch) -> Tensor:
        """(B, L) what training minimises, in nats where it is a likelihood."""

    @abstractmethod
    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        """(B, L) nats that are reported: exact, or a bound in expectation over `draws`."""

    @abstractmethod
    def sample(
        self,
        tokens: Tensor,
        fixed: Tensor,
        sampler: Callable[..., Tensor],
        warper: LogitsWarper = PLAIN,
        guidance: Guidance | None = None,
    ) -> Tensor:
        """Texts (B, L) that have `tokens` (B, L) where `fixed` (B, L) is True; the rest is drawn,
        from warped logits, whatever `tokens` holds there. ValueError for what the algorithm cannot
        keep fixed."""

    def prediction(self, hidden: Tensor, warper: LogitsWarper = PLAIN) -> Prediction:
        """The distribution of the token at every position, from hidden states (B, L, D)."""
        return Prediction(self.backbone.head, hidden, warper)

    def scored(self, batch: Batch) -> Tensor:
        """(B, L) bool: the positions whose nats count."""
        if not self.facts.causal:
            return batch["scored"]
        return batch["scored"] & (torch.arange(batch["tokens"].shape[1], device=self.device) > 0)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        return moved(batch, device)

    def training_facts(self) -> dict[str, Any]:
        """Fields of a record about the training beyond the configuration."""
        return {}

    def dropout(self, batch: Batch) -> dict[str, Tensor]:
        """Keywords of the network: where it drops something, a seed (B,) for each example."""
        if not self.training or not self._drops:
            return {}
        return {"dropout_seeds": example_seeds(batch["index"].cpu(), self.seed, DROPOUT)}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean over the positions of a pass. The step's gradient is that of the sum over its
        scored tokens, which only the end of its last pass knows: see
        `configure_gradient_clipping`."""
        nats, positions = self.objective(batch).sum(), batch["tokens"].numel()
        known, scored = nats.detach().double(), self.scored(batch).sum().double()
        # Filled in on the device: a copy to it would be waited for.
        sums = torch.stack([known, scored, torch.full_like(known, positions)])
        self._step_sums = sums if self._step_sums is None else self._step_sums + sums
        return nats / positions

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return {"nats": self.nll(batch), "scored": self.scored(batch), "index": batch["index"]}

    def configure_optimizers(self) -> Any:
        if self._optimizer is None or self._lr_factor is None:
            raise ValueError(
                "this algorithm was built without an optimizer: it can only be evaluated"
            )
        optimizer = self._optimizer(self.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Divides the gradient by the scored tokens of the global batch, clips its norm, and ends
        the run before one that is not finite reaches the weights.

        Lightning's gradient is the mean over all positions of all passes and processes: dividing
        here is exact for any split of the batch, however its texts are padded."""
        assert self._step_sums is not None
        reduced = self.trainer.strategy.reduce(self._step_sums, reduce_op="sum")
        nats, scored, positions = cast(Tensor, reduced)
        self._step_sums = None
        loss, scale = nats / scored.clamp_min(1), positions / scored.clamp_min(1)
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        norm = whole(nn.utils.get_total_norm(gradients)) * scale
        if not torch.isfinite(norm):
            raise FloatingPointError(self._not_finite(float(norm), float(loss)))
        if gradient_clip_val is not None:
            scale = scale * (gradient_clip_val / (norm + 1e-6)).clamp_max(1)
        torch._foreach_mul_(gradients, scale.to(gradients[0].dtype))
        self.log("train/loss", loss.float())  # not for Lightning's bar, which reads it every step
        lr = torch.full_like(norm, optimizer.param_groups[0]["lr"], dtype=torch.float32)
        self.log_dict({"train/grad_norm": norm.float(), "train/lr": lr})

    def _not_finite(self, norm: float, loss: float) -> str:
        return (
            f"step {self.global_step + 1}: the gradient norm is {norm}, the training loss "
            f"{loss:.4g}; stopped before the optimizer used it, the last checkpoint is good; try a "
            f"lower optim.lr"
        )
