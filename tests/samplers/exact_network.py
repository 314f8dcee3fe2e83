"""A network that knows a small language exactly, in place of hidden states and a head."""

import numpy as np
import torch
from torch import Tensor

from diffusion.process import Process
from tests.diffusion import brute_force

POISON = 10**6  # stands where no token was asked for: using it shows


class ExactPrediction:
    """Answers as `Prediction` does, from probabilities (B, L, N)."""

    def __init__(self, law: Tensor):
        self.law = law

    def mass_at(self, z: Tensor, where: Tensor | None = None) -> Tensor:
        size = self.law.shape[-1]
        mass = self.law.gather(-1, z.clamp_max(size - 1).unsqueeze(-1)).squeeze(-1)
        asked = z < size if where is None else where & (z < size)
        return torch.where(asked, mass, torch.nan)

    def draw(
        self, where: Tensor | None = None, among: int | None = None, count: int | None = None
    ) -> Tensor:
        assert among in (None, self.law.shape[-1])  # there is no mask among these
        where = torch.ones(self.law.shape[:-1], dtype=torch.bool) if where is None else where
        uniform = torch.rand(where.shape, dtype=torch.float64)
        later = self.law.cumsum(-1) < uniform.unsqueeze(-1)
        drawn = later.sum(-1).clamp_max(self.law.shape[-1] - 1)
        return torch.where(where, drawn, POISON)


class ExactNetwork:
    """denoise(z, t, rows): the leave-one-out posteriors of a language (N,) * L under a process.

    The times may be mixed where only masks are noise: what is known of a masked text does not
    depend on them."""

    def __init__(self, language: np.ndarray, process: Process):
        self.language = language
        self.process = process
        self.calls: list[float] = []
        self.shown: list[Tensor] = []  # the texts of the batch, call by call

    def __call__(self, z: Tensor, t: Tensor, rows: Tensor | None = None) -> ExactPrediction:
        assert t.shape == (len(z),) and (rows is None or rows.shape == t.shape)
        assert not self.process.has_noise or bool((t == t[0]).all())
        self.calls.append(float(t[0]))
        self.shown.append(torch.arange(len(z)) if rows is None else rows)
        keep, mask, noise = (float(part) for part in self.process.schedule(t[:1]))
        known = brute_force.leave_one_out(self.language, (keep, mask, noise))
        table = torch.from_numpy(known)
        return ExactPrediction(table[codes(z, self.language.shape[0] + 1)])


def codes(z: Tensor, states: int) -> Tensor:
    """The number of each text (B, L) in C order over `states` states."""
    place = states ** torch.arange(z.shape[1] - 1, -1, -1)
    return (z * place).sum(-1)
