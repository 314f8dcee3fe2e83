"""What every algorithm is to the rest of the suite, and what the diffusion algorithms share."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor, nn

from algos.guidance import Guidance
from backbones import DiT
from diffusion.chunked import Prediction, chunked
from diffusion.process import Process
from diffusion.shaping import Shaping
from diffusion.times import (
    evaluation_noise,
    evaluation_times,
    evaluation_weight,
    evenly_spread,
    independent,
    seed_of,
    stratified,
)

Batch = dict[str, Tensor]  # tokens (B, L) int64, scored and noised (B, L) bool, index (B,) int64
Optimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Algorithm(L.LightningModule):
    """A network and what is done with it. Concrete algorithms say what is minimised, reported and
    sampled."""

    nll_is_bound: bool
    scores_first = True  # whether the first position of a block is predicted at all
    outputs_mask = False  # whether the network's outputs are N + 1, the mask among them

    def __init__(
        self,
        backbone: DiT,
        vocab_size: int,
        seed: int = 0,
        optimizer: Optimizer | None = None,
        lr_factor: Callable[[int], float] | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.vocab_size = vocab_size
        self.seed = seed
        self.evaluation_pass, self.evaluation_passes = 0, 1  # of so many, whose mean counts
        # Of uniform times under the noise of training; None: all of time under the closed noise.
        self.evaluation_range: tuple[float, float] | None = None
        self.network_evaluations = 0  # counted in texts, each once for every call that has it
        self.shaping = Shaping()  # of what the network predicts when it samples
        # The averaged weights by name, where training keeps them.
        self.average: Callable[[], dict[str, Tensor]] | None = None
        self.sampling: Callable[[Algorithm, int], Tensor] | None = None
        self._optimizer = optimizer
        self._lr_factor = lr_factor

    @abstractmethod
    def objective(self, batch: Batch) -> Tensor:
        """(B, L) what training minimises, in nats where it is a likelihood."""

    @abstractmethod
    def nll(self, batch: Batch) -> Tensor:
        """(B, L) nats that are reported: exact, or a bound in expectation."""

    @abstractmethod
    def sample(
        self,
        tokens: Tensor,
        fixed: Tensor,
        sampler: Callable[..., Tensor],
        guidance: Guidance | None = None,
    ) -> Tensor:
        """Texts (B, L) that have `tokens` (B, L) where `fixed` (B, L) is True; the rest is drawn,
        whatever `tokens` holds there. ValueError for what the algorithm cannot keep fixed."""

    def prediction(self, hidden: Tensor) -> Prediction:
        """What a sampler asks about hidden states (B, L, D)."""
        return Prediction(self.backbone.head, hidden, self.shaping)

    def scored(self, batch: Batch) -> Tensor:
        """(B, L) bool: the positions whose nats count."""
        if self.scores_first:
            return batch["scored"]
        return batch["scored"] & (torch.arange(batch["tokens"].shape[1], device=self.device) > 0)

    def facts(self) -> dict[str, Any]:
        """What a record says of the training beyond the configuration."""
        return {}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        # Noise and dropout depend on the seed and the examples alone: nothing to store, nothing to
        # restore.
        torch.manual_seed(seed_of(self.seed, int(batch["index"][0])))
        loss = self.objective(batch).sum() / self.scored(batch).sum()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return {"nats": self.nll(batch), "scored": self.scored(batch), "index": batch["index"]}

    def predict_step(self, number: Tensor, batch_idx: int) -> tuple[int, Tensor]:
        """Draws batch `number` (1,) of the samples, as `sampling` says."""
        assert self.sampling is not None
        return int(number), self.sampling(self, int(number)).cpu()

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
        """Clips the global norm, and ends the run before a gradient that is not finite reaches the
        weights."""
        limit = float("inf") if gradient_clip_val is None else gradient_clip_val
        norm = nn.utils.clip_grad_norm_(self.parameters(), limit)
        if not torch.isfinite(norm):
            loss = float(self.trainer.callback_metrics["train/loss"])
            raise FloatingPointError(
                f"step {self.global_step + 1}: the gradient norm is {float(norm)}, the training "
                f"loss {loss:.4g}; stopped before the optimizer used it: the weights and the last "
                f"checkpoint are good; try a lower optim.lr"
            )
        self.log_dict({"train/grad_norm": norm, "train/lr": optimizer.param_groups[0]["lr"]})


class Noised(NamedTuple):
    """Noisy tokens z (B, L) at times t (B,) of `process`, and what the times weigh, (B,)."""

    process: Process
    t: Tensor
    z: Tensor
    weight: Tensor


class DiffusionAlgorithm(Algorithm):
    """Noise, denoise, sample: shared by all algorithms that differ in process and loss only."""

    nll_is_bound = True

    def __init__(
        self,
        process: Process,
        training_process: Process,
        global_batch_size: int,
        sampling_eps: tuple[float, float] = (0.0, 0.0),
        antithetic_sampling: bool = True,
        level: Callable[[Tensor], Tensor] | None = None,
        steps: int | None = None,
        **base: Any,
    ):
        """`process` covers all of time, from the text to pure noise: it evaluates and samples.
        Training draws t in [eps_0, 1 - eps_1] of `training_process`. `level` maps t (B,) to the
        network's input, None for no input. `steps` = T rounds every t up to a multiple of 1 / T."""
        super().__init__(**base)
        if min(sampling_eps) < 0 or sum(sampling_eps) >= 1:
            raise ValueError(f"training.sampling_eps={sampling_eps[0]}: from 0 to below 1")
        self.process = process
        self.training_process = training_process
        self.global_batch_size = global_batch_size
        self.sampling_eps = sampling_eps
        self.antithetic_sampling = antithetic_sampling
        self.level = level
        self.steps = steps

    def on_grid(self, t: Tensor) -> Tensor:
        return t if self.steps is None else (t * self.steps).ceil().clamp_min(1) / self.steps

    def training_times(self, batch: Batch) -> Tensor:
        """t (B,), one per sequence, stratified over the global batch."""
        if self.antithetic_sampling:
            t = stratified(batch["index"], self.global_batch_size, self.seed)
        else:
            t = independent(batch["index"], self.seed)
        low, high = self.sampling_eps
        return self.on_grid(low + (1 - low - high) * t)

    def training_noise(self, batch: Batch) -> Noised:
        """z at the training times, from the global generator."""
        t = self.training_times(batch)
        z = self.training_process.corrupt(batch["tokens"], t)
        z = torch.where(batch["noised"], z, batch["tokens"])
        return Noised(self.training_process, t, z, torch.ones_like(t))

    def evaluation_noise(self, batch: Batch) -> Noised:
        """t and z, both functions of (seed, pass, example) alone: t over all of (0, 1), or of
        `evaluation_range`."""
        x, index = batch["tokens"], batch["index"]
        key = self.seed, self.evaluation_pass
        if self.evaluation_range is None:
            process, t = self.process, evaluation_times(index, *key)
            weight = evaluation_weight(t)
        else:
            low, high = self.evaluation_range
            process, t = self.training_process, low + (high - low) * evenly_spread(index, *key)
            weight = torch.ones_like(t)
        t, uniform = self.on_grid(t), evaluation_noise(index, x.shape[1], *key)
        z = process.corrupt(x, t, uniform)
        return Noised(process, t, torch.where(batch["noised"], z, x), weight)

    def bound(self, fn: Callable[..., Tensor], batch: Batch) -> Tensor:
        """(B, L) values whose expectation is the integral of fn's over t in (0, 1), or their mean
        over `evaluation_range`."""
        return self.per_token(fn, batch, self.evaluation_noise(batch))

    def per_token(self, fn: Callable[..., Tensor], batch: Batch, noised: Noised) -> Tensor:
        """weight * fn(logits, x, z, mix, rate) at the scored positions (B, L), 0 elsewhere."""
        mix, rate = noised.process.mix(noised.t)
        hidden = self.hidden(noised.z, noised.t)
        rows = self.rows(batch, noised)
        columns = (batch["tokens"], noised.z, mix, rate)
        values = chunked(fn, self.backbone.head, hidden, *columns, rows=rows)
        return values * noised.weight.unsqueeze(-1)

    def rows(self, batch: Batch, noised: Noised) -> Tensor:
        """(B, L) bool: where a noised text costs anything. Without uniform noise an unmasked
        position does not, so only masked ones go through the head."""
        rows = self.scored(batch)
        return rows if noised.process.has_noise else rows & (noised.z == noised.process.mask)

    def hidden(self, z: Tensor, t: Tensor) -> Tensor:
        """One network evaluation: (B, L, D)."""
        self.network_evaluations += len(z)
        return self.backbone(z, self.level(t) if self.level else None)

    def ideal_outputs(self, log_p: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """What a network would put out (B, L, V) that knew log_p (B, L, N), p(x_l | z without
        l)."""
        return log_p

    def sample(
        self,
        tokens: Tensor,
        fixed: Tensor,
        sampler: Callable[..., Tensor],
        guidance: Guidance | None = None,
    ) -> Tensor:
        def clamp(z: Tensor) -> Tensor:
            return torch.where(fixed, tokens, z)

        def denoise(z: Tensor, t: Tensor, rows: Tensor | None = None) -> Prediction:
            if guidance is None:
                return self.prediction(self.hidden(z, t))
            return self.prediction(guidance.hidden(self.hidden, self.process, z, t, rows))

        z = self.process.prior((len(tokens), tokens.shape[1]), device=tokens.device)
        return sampler(denoise, self.process, z, clamp=clamp)
