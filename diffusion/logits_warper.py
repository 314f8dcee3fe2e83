"""Temperature and cuts of a prediction before a token is drawn: logits (n, V) to logits."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from diffusion.settings import Prediction
from schema.check import check_values

NUCLEI = ("keep-crossing", "drop-crossing")
FIRST_LOOK = 256  # tokens that are sorted at first: most nuclei are smaller


@dataclass(frozen=True)
class LogitsWarper:
    """Logits over the temperature; then, in this order, only the `top_k` likeliest tokens, the
    nucleus of mass `top_p` among them, and no token below min_p max_j p_j.

    The nucleus is the likeliest tokens up to and with the one that takes their sum to top_p or
    beyond ("keep-crossing": DUO and most libraries), or those whose sum does not go beyond it, at
    least one ("drop-crossing": ReMDM, BD3-LM)."""

    temperature: float = 1.0
    min_p: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    nucleus: str = NUCLEI[0]

    def __post_init__(self) -> None:
        settings = asdict(self)
        check_values(Prediction, "sampling", p_nucleus=settings.pop("top_p"), **settings)

    def __call__(self, logits: Tensor) -> Tensor:
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            largest = logits.topk(self.top_k).indices
            logits = _only(logits, largest, torch.ones_like(largest, dtype=torch.bool))
        if self.top_p < 1:
            logits = self._in_nucleus(logits)
        if self.min_p > 0:
            least = logits.amax(-1, keepdim=True) + math.log(self.min_p)
            logits = logits.masked_fill(logits < least, -math.inf)
        return logits

    def _in_nucleus(self, logits: Tensor) -> Tensor:
        """Sums in float64 over sorted tokens: the first ones, and in the rows where those are not
        enough, all."""
        total = logits.logsumexp(-1, keepdim=True)
        values, tokens = logits.topk(min(FIRST_LOOK, logits.shape[-1]))
        p = (values - total).double().exp()
        cut = _only(logits, tokens, self._inside(p))
        if logits.shape[-1] > FIRST_LOOK:
            more = (p.sum(-1) <= self.top_p).nonzero().squeeze(-1)
            rows = logits[more]
            values, tokens = rows.sort(descending=True)
            p = (values - total[more]).double().exp()
            cut[more] = _only(rows, tokens, self._inside(p))
        return cut

    def _inside(self, p: Tensor) -> Tensor:
        """(n, k) bool: the nucleus among tokens with the probabilities p (n, k), the largest
        first."""
        mass = p.cumsum(-1)
        inside = mass - p < self.top_p if self.nucleus == NUCLEI[0] else mass <= self.top_p
        inside[:, 0] = True
        return inside


def _only(logits: Tensor, tokens: Tensor, inside: Tensor) -> Tensor:
    """Logits (n, V) at those of `tokens` (n, k) that are `inside` (n, k), -inf elsewhere."""
    kept = logits.gather(-1, tokens).masked_fill(~inside, -math.inf)
    return torch.full_like(logits, -math.inf).scatter(-1, tokens, kept)
