"""The divergence between two predictions, row by row, with its gradient in place (see
diffusion.bound)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion.head import Affine, Head, Products


@dataclass(frozen=True)
class PredictionKL:
    """KL(p || p') of a prediction and its teacher's, or KL(p' || p) if `forward`; rows are logits
    (n, N) of p and the teacher's hidden states (n, D), which `teacher` turns into the logits of
    p'."""

    teacher: nn.Linear
    forward: bool = False

    def __call__(self, logits: Tensor, hidden: Tensor) -> Tensor:
        log_p, log_q = logits.log_softmax(-1), self._teacher_log_p(hidden)
        first, second = (log_q, log_p) if self.forward else (log_p, log_q)
        return (first.exp() * (first - second)).sum(-1)

    def with_gradient(self, logits: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """As `CrossEntropy.with_gradient`."""
        divergence, others = self.of_logits(hidden)
        return divergence.with_gradient(logits, others)

    def of_logits(self, hidden: Tensor) -> "tuple[LogitsKL, Tensor]":
        """The same of the teacher's logits, and these."""
        return LogitsKL(self.forward), self._teacher_logits(hidden)

    @property
    def by_kernels(self) -> "ByKernels":
        """As `with_gradient`, of logits that may be bf16; for one pass over the rows."""
        return ByKernels(self.teacher, self.forward)

    def _teacher_logits(self, hidden: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = self.teacher(hidden.to(self.teacher.weight.dtype))
            return logits

    def _teacher_log_p(self, hidden: Tensor) -> Tensor:
        return self._teacher_logits(hidden).log_softmax(-1)


class ByKernels:
    """`PredictionKL` by a kernel (see `diffusion.divergence_kernels`) that reads the teacher's
    logits in the type of the student's; the teacher's weights in that are kept."""

    def __init__(self, teacher: nn.Linear, forward: bool) -> None:
        self.teacher, self.forward = teacher, forward
        self.products: Products | None = None

    @torch.no_grad()
    def __call__(self, logits: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        from diffusion.divergence_kernels import divergence_  # Triton is not everywhere

        def outputs(layer: nn.Linear | Affine, hidden: Tensor) -> Tensor:
            if self.products is None or not self.products.low:  # the layer's own may be gone
                rows = (logits.dtype, len(hidden))
                self.products = Products(layer.weight, layer.bias, *rows, kernels=True)
            return self.products(hidden.to(logits.dtype))[:, : logits.shape[1]]

        layer = self.teacher
        others = layer(hidden, outputs) if isinstance(layer, Head) else outputs(layer, hidden)
        value = divergence_(logits, others, self.forward)
        return value, torch.ones_like(value)


@dataclass(frozen=True)
class LogitsKL:
    """The gradient of `PredictionKL` of the logits (n, N) of both predictions."""

    forward: bool

    def with_gradient(self, logits: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """As `CrossEntropy.with_gradient`: p (log p - log p' - KL), or p - p' if `forward`."""
        # A compiled function has no array for it, and need not change its argument.
        place = None if torch.compiler.is_compiling() else others
        log_q = torch.log_softmax(others, -1, out=place)
        log_p = torch.log_softmax(logits, -1, out=logits)
        q = log_q.exp()
        ratio = torch.sub(log_p, log_q, out=log_q)
        p = log_p.exp_()
        # sum p log(p / q) - p + q: to first order free of the rounding of the two normalisers,
        # 1e-6 in float32, which makes plain sums of near predictions negative
        excess = p.sum(-1) - q.sum(-1)
        if self.forward:
            value = excess - torch.linalg.vecdot(q, ratio)
            p.sub_(q)
        else:
            mean = torch.linalg.vecdot(p, ratio)
            value = mean - excess
            p.mul_(ratio.sub_(mean.unsqueeze(-1)))
        return value, torch.ones_like(value)
