"""Discrete consistency distillation (Sahoo et al., arXiv 2506.10892): a DUO model learns to predict
from the noisier of two times what its teacher predicts from the other."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from algos import settings
from algos.base import FIRST, Batch, Draws
from algos.denoising import DiffusionAlgorithm
from algos.facts import FACTS
from algos.noise import GaussianTime, by_alpha
from backbones.dit import DiT
from diffusion.bound import interpolating_bound
from diffusion.chunked import chunked
from diffusion.divergence import PredictionKL
from diffusion.schedule import Alpha, Uniform
from integral.competitors import competitors, latent, uniforms_needed
from schema.check import check_values

DIVERGENCES = {"reverse": False, "forward": True}  # KL(student || teacher), KL(teacher || student)
ENDS = (0.9987, 0.0062)  # of alpha: what the published gamma from -4 to -1 are for GPT-2


class DUODistill(DiffusionAlgorithm):
    """KL between the student at (z_t, t) and the teacher at (z_s, s), s = max(t - delta, 0), on one
    Gaussian path. Training has `rounds` of max_steps / rounds steps; the teacher becomes the
    student, and delta doubles from 1 / grid, at the start of each.

    The teacher is kept in eval mode and out of the modules: it has no gradients, no average and no
    part in the weights of a checkpoint."""

    facts = FACTS["duo_distill"]

    def __init__(
        self,
        alpha: Alpha,
        vocab_size: int,
        max_steps: int,
        rounds: int = 5,
        grid: int = 512,
        divergence: str = "reverse",
        teacher: str = "raw",
        gamma_min: float | None = None,
        gamma_max: float | None = None,
        sampling_eps: float = 1e-3,
        **diffusion: Any,
    ):
        checked = {"divergence": divergence, "teacher": teacher, "rounds": rounds, "grid": grid}
        check_values(settings.DUODistill, "algo", **checked)
        if rounds > max_steps:
            raise ValueError(f"algo.rounds={rounds}: from 1 to trainer.max_steps={max_steps}")
        super().__init__(
            sampling_eps=(sampling_eps, 0.0), **by_alpha(Uniform, alpha, vocab_size), **diffusion
        )
        self.gaussian = GaussianTime(vocab_size, gamma_min, gamma_max, ENDS)
        self.rounds, self.grid, self.max_steps = rounds, grid, max_steps
        self.forward_kl = DIVERGENCES[divergence]
        self.teacher_is = teacher
        self.round = -1
        self._teacher: tuple[DiT, ...] = ()  # in a tuple, which is not searched for modules
        self._blank = (_without_weights(self.backbone),)

    def delta(self) -> float:
        """How far back in time the teacher looks, at most all of it."""
        return min(1.0, 2**self.round / self.grid)

    def teacher(self) -> DiT:
        """The teacher of the current round."""
        now = min(self.global_step * self.rounds // self.max_steps, self.rounds - 1)
        if now != self.round:
            self.round = now
            self._teacher = (self._copy_of_student(),)
        return self._teacher[0].to(self.device)

    def _copy_of_student(self) -> DiT:
        if self.teacher_is == "averaged" and self.round > 0:
            assert self.average is not None
            prefix = "backbone."
            return self._new_teacher({k.removeprefix(prefix): v for k, v in self.average().items()})
        return self._new_teacher(self.backbone.state_dict())

    def _new_teacher(self, weights: dict[str, Tensor]) -> DiT:
        """A network with copies of `weights`, compiled and placed as the student."""
        teacher = copy.deepcopy(self._blank[0]).to(next(self.backbone.parameters()).dtype)
        if teacher.compiled:
            teacher.compile_blocks()
        if self.place is None:
            teacher.to_empty(device=self.device)
        else:
            self.place(teacher)
        teacher.load_state_dict(weights)
        return teacher

    def objective(self, batch: Batch) -> Tensor:
        teacher, x, t = self.teacher(), batch["tokens"], self.training_times(batch)
        draws = self.training_uniforms(batch, uniforms_needed(1))
        path = competitors(x, 1, self.vocab_size, draws)
        now = self._hidden_at(self.backbone, batch, path, t)
        with torch.no_grad():
            then = self._hidden_at(teacher, batch, path, (t - self.delta()).clamp_min(0))
        loss = PredictionKL(teacher.head, self.forward_kl)
        return chunked(loss, self.backbone.head, now, then, rows=self.scored(batch))

    def _hidden_at(self, network: DiT, batch: Batch, path: Any, t: Tensor) -> Tensor:
        x, gamma = batch["tokens"], self.gaussian.gamma(t)
        z = torch.where(batch["noised"], latent(path, x, gamma), x)
        return network(z, -self.gaussian.keep.inside(gamma).log(), **self.dropout(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(interpolating_bound, batch, draws)

    def training_facts(self) -> dict[str, Any]:
        """The rounds that training has begun, and where the teacher came from."""
        return {"distillation": {"rounds": self.round + 1, "teacher": self.teacher_is}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        weights = self._teacher[0].state_dict() if self._teacher else {}
        checkpoint["distillation"] = {"round": self.round, "teacher": weights}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        stored = checkpoint["distillation"]
        self.round = stored["round"]
        if stored["teacher"]:
            self._teacher = (self._new_teacher(stored["teacher"]),)


def _without_weights(network: DiT) -> DiT:
    """The same network for evaluation, whose weights are shapes alone."""
    shapes: dict[int, Any] = {
        id(p): nn.Parameter(p.detach().to("meta"), requires_grad=False)
        for p in network.parameters()
    }
    blank: DiT = copy.deepcopy(network, shapes)
    return blank.eval()
