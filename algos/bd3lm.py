"""Block diffusion (Arriola et al., arXiv 2503.09573): a text is blocks, each noised by itself given
the clean ones before it."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from algos import settings
from algos.base import FIRST, PLAIN, Batch, Draws
from algos.block_reader import BlockReader
from algos.clip import ClipSearch, coins_within
from algos.denoising import DiffusionAlgorithm, Noised
from algos.facts import FACTS
from algos.noise import by_alpha
from backbones.attention import FULL, Pattern
from diffusion.bound import interpolating_bound, masked_bound
from diffusion.guidance import Guidance
from diffusion.logits_warper import LogitsWarper
from diffusion.schedule import Absorbing, Alpha, Schedule, Uniform, per_position
from schema.check import check_values

# the mixture, the bound, and whether the network is told the noise level
NOISES: dict[str, tuple[Callable[[Alpha], Schedule], Callable[..., Tensor], bool]] = {
    "masked": (Absorbing, masked_bound, False),
    "uniform": (Uniform, interpolating_bound, True),
}


class BD3LM(DiffusionAlgorithm):
    """-log p(x) <= sum over blocks b of E_t E_z [ the bound of x^b by z^b, given x^1 .. x^(b-1) ].

    One pass reads the noisy text and the clean one: a noisy block sees itself and the clean blocks
    before it. Training draws the time of each block between sampling_eps_min and sampling_eps_max
    of time, a share of the bound that varies less; with `resample` the share of noise that a block
    really has lies between them too. What is reported is the bound over all of time."""

    facts = FACTS["bd3lm"]

    def __init__(
        self,
        alpha: Alpha,
        vocab_size: int,
        block_size: int = 16,
        noise: str = "masked",
        sampling_eps_min: float = 1e-3,
        sampling_eps_max: float = 1.0,
        resample: bool = True,
        clip_search: bool = False,
        **diffusion: Any,
    ):
        ends = {"sampling_eps_min": sampling_eps_min, "sampling_eps_max": sampling_eps_max}
        check_values(settings.BD3LM, "algo", block_size=block_size, noise=noise, **ends)
        kind, self.loss, conditioned = NOISES[noise]
        super().__init__(
            sampling_eps=(sampling_eps_min, 1 - sampling_eps_max),
            block_size=block_size,
            **by_alpha(kind, alpha, vocab_size, conditioned),
            **diffusion,
        )
        settings.check_block_size(block_size, self.backbone.length)
        self.resample, self.clip_search = resample, clip_search
        self.length = self.backbone.length
        self.context_share = 1 - block_size / self.length
        self._search: ClipSearch | None = None

    @property
    def clip(self) -> tuple[float, float]:
        """The times between which training draws."""
        return self.sampling_eps[0], 1 - self.sampling_eps[1]

    def objective(self, batch: Batch) -> Tensor:
        clipped = self.clip != (settings.CLIP_LOW, 1.0)
        noised = self.clipped_noise if self.resample and clipped else self.training_noise
        return self.per_token(self.loss, batch, noised(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(self.loss, batch, draws)

    def clipped_noise(self, batch: Batch) -> Noised:
        """As `training_noise`, given that the share of noise of each block lies in the clip."""
        t, x, process = self.training_times(batch), batch["tokens"], self.training_process
        coin, which, lot = self.training_uniforms(batch, 3)
        keep = process.schedule(t).keep.expand(x.shape)
        assert self.block_size is not None
        coin = coins_within(coin, keep, batch["noised"], lot, self.block_size, self.clip)
        z = torch.where(batch["noised"], process.corrupt(x, t, torch.stack([coin, which])), x)
        return Noised(process, t, z, torch.ones_like(t))

    def on_validation_epoch_start(self) -> None:
        if self.clip_search and self.trainer.state.fn == "fit":
            self._search = ClipSearch(self.device)

    def on_validation_batch_end(
        self, outputs: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Every validation has drawn blocks at times from all of (0, 1): what their losses would
        vary by within any clip is known without another look."""
        if self._search is None:
            return
        noised, scored = self.evaluation_noise(batch), self.scored(batch)
        columns = [outputs["nats"] / per_position(noised.weight), scored]
        columns += [per_position(part).expand(scored.shape) for part in (noised.t, noised.weight)]
        assert self.block_size is not None
        self._search.add(*(part.unflatten(1, (-1, self.block_size)) for part in columns))

    def on_validation_epoch_end(self) -> None:
        if self._search is None:
            return
        sums = self.trainer.strategy.reduce(self._search.sums, reduce_op="sum")
        low, high = self._search.best(cast(Tensor, sums))
        self._search, self.sampling_eps = None, (low, 1 - high)
        self.log_dict({"train/clip_min": low, "train/clip_max": high})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["clip"] = list(self.sampling_eps)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """An imported model has none."""
        low, rest = checkpoint.get("clip", self.sampling_eps)
        self.sampling_eps = low, rest

    def training_facts(self) -> dict[str, Any]:
        """The times between which training draws by now."""
        return {"clip": {"low": self.clip[0], "high": self.clip[1]}} if self.clip_search else {}

    def hidden(self, z: Tensor, t: Tensor, **dropout: Tensor) -> Tensor:
        """(B, L, D) of texts z (B, L) at times t (B,) or (B, L), of which every block sees itself
        and those before it as they are, within a window of the network's length."""
        level = None if self.level is None else self.level(t)
        return self.backbone(z, level, pattern=self.pattern(z.shape[1]), **dropout)

    def hidden_of(self, x: Tensor, z: Tensor, t: Tensor, **dropout: Tensor) -> Tensor:
        """(B, L, D): every block of z (B, L) sees itself and the blocks of x (B, L) before it."""
        length = z.shape[1]
        blocks = self.blocks_of(length)
        if blocks == 1:
            return self.hidden(z, t, **dropout)
        assert self.block_size is not None
        seen = x[:, : (blocks - 1) * self.block_size]  # the last block is seen by none
        level = None
        if self.level is not None:
            t = per_position(t).expand(z.shape)
            level = self.level(torch.cat([t, torch.zeros_like(t[:, : seen.shape[1]])], 1))
        pattern, both = Pattern(self.block_size, noisy=length), torch.cat([z, seen], 1)
        return self.backbone(both, level, pattern=pattern, **dropout)[:, :length]

    def pattern(self, length: int) -> Pattern:
        """What is seen in a text of so many tokens."""
        assert self.block_size is not None
        if self.blocks_of(length) == 1:
            return FULL
        window = self.length // self.block_size if length > self.length else None
        return Pattern(self.block_size, window)

    def sample(
        self,
        tokens: Tensor,
        fixed: Tensor,
        sampler: Callable[..., Tensor],
        warper: LogitsWarper = PLAIN,
        guidance: Guidance | None = None,
    ) -> Tensor:
        if guidance is not None:
            raise ValueError("sampling.guidance: algo=bd3lm reads its prompt as finished blocks")

        def reader(cached: bool) -> BlockReader:
            return BlockReader(self, warper, cached)

        return sampler(reader, self.process, tokens, fixed)
