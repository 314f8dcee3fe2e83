"""GIDD's self-correction (von Ruette et al., arXiv 2503.04482): a finished text is shown to the
network again, and the replacements that it is surest of are made, a few at a time."""

from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from diffusion.categorical import draw
from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.ancestral import Denoiser
from samplers.build import Counter
from samplers.settings import Sampling
from schema.check import check_values


class Corrected(NamedTuple):
    """The best state of each text (B, L), the self-accuracy (B,) of its first and of its best
    state, float64, and how many steps (B,) were made."""

    tokens: Tensor
    accuracy_before: Tensor
    accuracy_after: Tensor
    steps: Tensor


@torch.no_grad()
def self_correct(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    fixed: Tensor,
    steps: int,
    temperature: float = 0.1,
    tokens: int = 1,
    patience: int = 32,
    time: float = 0.01,
) -> Corrected:
    """A step draws z'_i ~ p_i = softmax(outputs_i / temperature) for all positions of z (B, L) that
    are not `fixed` (B, L), and makes the `tokens` changes among them with the largest p_i(z'_i).
    The network sees the noise level of `time` throughout.

    Self-accuracy is the share of tokens that are the likeliest at their position. The best state by
    it is returned, where the published loop returns the last. A text ends when all its tokens are
    the likeliest, since no later state can be better; at low temperatures that is when a draw
    changes nothing, where the published loop ends. At higher ones such a draw is an accident that
    says nothing of the next, and is a step like others. It also ends when its self-accuracy has not
    risen for more than `patience` steps, and after `steps`; then it costs nothing more. The state
    after the last step is looked at too: up to steps + 1 network calls."""
    checked = {"temperature": temperature, "tokens": tokens, "patience": patience}
    check_values(Sampling, "sampling", self_correction=steps)
    check_values(
        Sampling, "sampling", **{f"self_correction_{key}": checked[key] for key in checked}
    )
    free = ~fixed
    state, best = z.clone(), z.clone()
    # A text without free positions has nothing wrong.
    accuracy = before = torch.where(free.any(-1), -1.0, 1.0).double()
    stalled, made = (torch.zeros_like(z[:, 0]) for _ in range(2))
    going = (accuracy < 1).nonzero().squeeze(-1)
    row = partial(_row, size=process.vocab_size, temperature=temperature)
    for step in range(steps + 1):
        if len(going) == 0:
            break
        now, may = state[going], free[going]
        prediction = denoise(now, torch.full_like(accuracy[going], time))
        likeliest, drawn, odds = prediction.apply(row, where=may).unbind(-1)
        share = ((now == likeliest) & may).sum(-1).double() / may.sum(-1)
        better = share > accuracy[going]
        accuracy = accuracy.index_put((going,), torch.maximum(share, accuracy[going]))
        best[going] = torch.where(better.unsqueeze(-1), now, best[going])
        stalled[going] = torch.where(better, 0, stalled[going] + 1)
        before = accuracy if step == 0 else before
        goes = (share < 1) & (stalled[going] <= patience) & (step < steps)
        state[going] = _surest(now, drawn.long(), odds.masked_fill(~may, -torch.inf), tokens)
        going = going[goes]
        made[going] += 1
    return Corrected(best, before, accuracy, made)


class Correctable(Protocol):
    """An algorithm as self-correction sees it."""

    @property
    def process(self) -> Process: ...

    def hidden(self, z: Tensor, t: Tensor) -> Tensor: ...

    def prediction(self, hidden: Tensor) -> Prediction: ...


def correct(model: Correctable, z: Tensor, fixed: Tensor, **settings: Any) -> tuple[Corrected, int]:
    """Texts (B, L) corrected where they are not `fixed` (B, L), and the network evaluations."""
    counter = Counter()

    def denoise(z: Tensor, t: Tensor) -> Prediction:
        return model.prediction(model.hidden(z, t))

    loop = counter.of(self_correct, 1)
    return loop(denoise, model.process, z, fixed, **settings), counter.texts


def _row(outputs: Tensor, size: int, temperature: float) -> Tensor:
    """(n, 3) float64: argmax p, a draw z' ~ p, log p(z') / (1 - p(z')), over the first `size`
    outputs. The odds order positions as p(z') does, also where p(z') is one to the precision of a
    float."""
    outputs = outputs[:, :size]
    logits = (outputs - outputs.amax(-1, keepdim=True)).div_(temperature)
    drawn = draw(logits).unsqueeze(-1)
    chosen = logits.gather(-1, drawn).squeeze(-1)
    others = logits.scatter_(-1, drawn, -torch.inf).logsumexp(-1)
    columns = (outputs.argmax(-1), drawn.squeeze(-1), chosen - others)
    return torch.stack([column.double() for column in columns], -1)


def _surest(z: Tensor, drawn: Tensor, odds: Tensor, tokens: int) -> Tensor:
    """z (B, L) with the `tokens` draws of the largest odds among those that differ from it."""
    odds = odds.masked_fill(drawn == z, -torch.inf)
    top = odds.topk(min(tokens, z.shape[1]), dim=-1)
    best = z.scatter(-1, top.indices, drawn.gather(-1, top.indices))
    return torch.where(odds > -torch.inf, best, z)
