"""Times, noise, a bound over both and sampling, shared by the diffusion algorithms."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from algos.base import FIRST, PLAIN, Algorithm, Batch, Draws
from diffusion.chunked import chunked
from diffusion.guidance import Guidance
from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from diffusion.process import Process
from diffusion.schedule import per_position
from diffusion.times import (
    evaluation_noise,
    evaluation_times,
    evaluation_weight,
    evenly_spread,
    independent,
    stratified,
    training_noise,
)

UNWEIGHTED = torch.ones((), dtype=torch.float64)


class Noised(NamedTuple):
    """Noisy tokens z (B, L) at times t of `process`, and the weights of these times, both (B,) or
    (B, L), or UNWEIGHTED."""

    process: Process
    t: Tensor
    z: Tensor
    weight: Tensor


class DiffusionAlgorithm(Algorithm):
    """Noise, denoise, sample: shared by all algorithms that differ in process and loss only."""

    nll_is_bound = True
    process: Process

    def __init__(
        self,
        process: Process,
        training_process: Process,
        global_batch_size: int,
        sampling_eps: tuple[float, float] = (0.0, 0.0),
        antithetic_sampling: bool = True,
        level: Callable[[Tensor], Tensor] | None = None,
        steps: int | None = None,
        block_size: int | None = None,
        **base: Any,
    ):
        """`process` covers all of time, from the text to pure noise: it evaluates and samples.
        Training draws t in [eps_0, 1 - eps_1] of `training_process`. `level` maps t to the
        network's input of its shape, None for no input. `steps` = T rounds every t up to a
        multiple of 1 / T. With `block_size` each block of so many tokens has a time of its own."""
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
        self.block_size = block_size

    def on_grid(self, t: Tensor) -> Tensor:
        return t if self.steps is None else (t * self.steps).ceil().clamp_min(1) / self.steps

    def blocks_of(self, length: int) -> int:
        """How many times a text of so many tokens has."""
        return 1 if self.block_size is None else -(-length // self.block_size)

    def numbered(self, batch: Batch) -> Tensor:
        """(B * blocks,) int64: a number for each block of the texts, that of a text where it is
        one."""
        blocks = self.blocks_of(batch["tokens"].shape[1])
        places = torch.arange(blocks, device=batch["index"].device)
        return (batch["index"].unsqueeze(-1) * blocks + places).flatten()

    def over_blocks(self, values: Tensor, batch: Batch) -> Tensor:
        """Values (B * blocks,) of the blocks of texts as (B, L), of texts of one block as (B,)."""
        count, length = batch["tokens"].shape
        blocks = self.blocks_of(length)
        if blocks == 1:
            return values
        assert self.block_size is not None
        return values.view(count, blocks).repeat_interleave(self.block_size, -1)[:, :length]

    def training_times(self, batch: Batch) -> Tensor:
        """t (B,), one per sequence, or (B, L), one per block, stratified over the global batch."""
        if self.antithetic_sampling:
            blocks = self.blocks_of(batch["tokens"].shape[1])
            t = stratified(self.numbered(batch), self.global_batch_size, self.seed, blocks)
        else:
            t = independent(self.numbered(batch), self.seed)
        low, high = self.sampling_eps
        return _sent(self.over_blocks(self.on_grid(low + (1 - low - high) * t), batch), batch)

    def training_noise(self, batch: Batch) -> Noised:
        """z at the training times, both functions of (seed, example) alone."""
        t, x = self.training_times(batch), batch["tokens"]
        z = self.training_process.corrupt(x, t, self.training_uniforms(batch, 2))
        z = torch.where(batch["noised"], z, x)
        return Noised(self.training_process, t, z, UNWEIGHTED)

    def training_uniforms(self, batch: Batch, count: int) -> Tensor:
        """(count, B, L) float64 in [0, 1), each a function of (seed, example, position)."""
        index = _sent(batch["index"], batch)
        return training_noise(index, batch["tokens"].shape[1], count, self.seed)

    def evaluation_noise(self, batch: Batch, draws: Draws = FIRST) -> Noised:
        """t and z, both functions of (seed, pass, example) alone: t over all of (0, 1), or of the
        range of `draws`."""
        x, index = batch["tokens"], self.numbered(batch)
        key = self.seed, draws.number
        if draws.times is None:
            process, t = self.process, evaluation_times(index, *key)
            weight = evaluation_weight(t)
        else:
            low, high = draws.times
            process, t = self.training_process, low + (high - low) * evenly_spread(index, *key)
            weight = torch.ones_like(t)
        t, weight = (self.over_blocks(part, batch) for part in (self.on_grid(t), weight))
        uniform = evaluation_noise(batch["index"], x.shape[1], *key)
        t, weight, uniform = (_sent(part, batch) for part in (t, weight, uniform))
        z = process.corrupt(x, t, uniform)
        return Noised(process, t, torch.where(batch["noised"], z, x), weight)

    def bound(self, fn: Callable[..., Tensor], batch: Batch, draws: Draws) -> Tensor:
        """(B, L) values whose expectation is the integral of fn's over t in (0, 1), or their mean
        over the range of `draws`."""
        return self.per_token(fn, batch, self.evaluation_noise(batch, draws))

    def per_token(self, fn: Callable[..., Tensor], batch: Batch, noised: Noised) -> Tensor:
        """weight * fn(logits, x, z, mix, rate) at the scored positions (B, L), 0 elsewhere."""
        mix, rate = noised.process.mix(noised.t)
        hidden = self.hidden_of(batch["tokens"], noised.z, noised.t, **self.dropout(batch))
        rows = self.rows(batch, noised)
        columns = (batch["tokens"], noised.z, mix, rate)
        values = chunked(fn, self.backbone.head, hidden, *columns, rows=rows)
        if noised.weight is UNWEIGHTED:  # so that `chunked` sees the gradient of a sum
            return values
        return values * per_position(noised.weight)

    def rows(self, batch: Batch, noised: Noised) -> Tensor:
        """(B, L) bool: where a noised text costs anything. Without uniform noise an unmasked
        position does not, so only masked ones go through the head."""
        rows = self.scored(batch)
        return rows if noised.process.has_noise else rows & (noised.z == noised.process.mask)

    def hidden(self, z: Tensor, t: Tensor, **dropout: Tensor) -> Tensor:
        """One network evaluation: (B, L, D), of z (B, L) at times t (B,) or (B, L)."""
        return self.backbone(z, self.level(t) if self.level else None, **dropout)

    def hidden_of(self, x: Tensor, z: Tensor, t: Tensor, **dropout: Tensor) -> Tensor:
        """One network evaluation: (B, L, D), of z (B, L) that noise made of x (B, L), at times t
        (B,) or (B, L)."""
        return self.hidden(z, t, **dropout)

    def ideal_outputs(self, log_p: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Outputs (B, L, V) of a network that knows log_p (B, L, N), p(x_l | z without l)."""
        return log_p

    def sample(
        self,
        tokens: Tensor,
        fixed: Tensor,
        sampler: Callable[..., Tensor],
        warper: LogitsWarper = PLAIN,
        guidance: Guidance | None = None,
    ) -> Tensor:
        def clamp(z: Tensor) -> Tensor:
            return torch.where(fixed, tokens, z)

        def denoise(z: Tensor, t: Tensor, rows: Tensor | None = None) -> Prediction:
            if guidance is None:
                return self.prediction(self.hidden(z, t), warper)
            hidden = guidance.hidden(self.hidden, self.process, z, t, rows)
            return self.prediction(hidden, warper)

        z = self.process.prior((len(tokens), tokens.shape[1]), device=tokens.device)
        return sampler(denoise, self.process, z, clamp=clamp)


def _sent(values: Tensor, batch: Batch) -> Tensor:
    """Values that the CPU computed, where the tokens are, without waiting."""
    return values.to(batch["tokens"].device, non_blocking=True)
