"""A network that knows a Markov language exactly, in place of a trained one: hidden states that its
head turns into the outputs that the algorithm at hand would have learned."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import Algorithm
from algos.denoising import DiffusionAlgorithm
from diffusion.process import Process
from evaluation.oracle.language import Language
from evaluation.oracle.markov_memory import messages

LEAST = -1e4  # in place of -inf, which times zero is no number


class Head(nn.Module):
    """Outputs (r, V) of rows (r, D) of hidden states; what `Prediction` needs of a linear head."""

    weight: Tensor

    def __init__(self, outputs: Callable[[Tensor], Tensor], out_features: int):
        super().__init__()
        self.out_features = out_features
        self.outputs = outputs
        self.register_buffer("weight", torch.empty(0, dtype=torch.float64))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.outputs(hidden)


class Denoising(nn.Module):
    """Knows p(x_l | z without l) of texts that begin with BOS, the token behind the symbols.

    Its level is the time itself."""

    def __init__(
        self,
        language: Language,
        process: Process,
        ideal: Callable[[Tensor, Tensor, Tensor], Tensor],
        out_features: int,
    ):
        super().__init__()
        self.bos, self.process, self.ideal = language.states, process, ideal
        law = (torch.from_numpy(part) for part in (language.transition, language.stationary))
        self.messages = messages(*law)
        self.head = Head(self._outputs, out_features)

    def forward(self, tokens: Tensor, level: Tensor) -> Tensor:
        """(B, L, D) float64, the last three of which are the noisy token, the time, and whether
        this is the BOS."""
        mix, symbols = self.process.schedule(level.double()), tokens[:, 1:]
        inner = self.messages.hidden(symbols, mix.keep, self.process.at(symbols, mix))
        time = level.double().unsqueeze(-1).expand(tokens.shape)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        first = (places == 0).expand(tokens.shape)
        told = torch.stack([tokens.double(), time, first.double()], -1)
        return torch.cat([F.pad(inner, (0, 0, 1, 0)), told], -1)

    def _outputs(self, rows: Tensor) -> Tensor:
        z, t, first = rows[:, -3].long(), rows[:, -2], rows[:, -1:].bool()
        log_p = F.pad(self.messages.log_p(rows[:, :-3]), (0, 1), value=-torch.inf)
        begins = log_p.new_full((self.bos + 1,), -torch.inf)
        begins[self.bos] = 0.0
        log_p = torch.where(first, begins, log_p)
        outputs = self.ideal(log_p.unsqueeze(1), z.unsqueeze(1), t).squeeze(1)
        return outputs.clamp_min_(LEAST)


class Reading(nn.Module):
    """Knows p(x_l | x_<l) of texts that begin with BOS."""

    start: Tensor
    outputs: Tensor

    def __init__(self, language: Language):
        super().__init__()
        self.order, self.states = language.order, language.states
        tables = torch.cat([torch.from_numpy(table) for table in language.tables])
        outputs = F.pad(tables.log(), (0, 1), value=-torch.inf).clamp_min_(LEAST)
        counts = torch.tensor([0, *map(len, language.tables)])
        self.register_buffer("start", counts.cumsum(0))  # of each table among the rows
        self.register_buffer("outputs", outputs)
        self.head = Head(lambda rows: self.outputs[rows[:, 0].long()], self.states + 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, 1) float64: the row of the table for what follows each token."""
        past = F.pad(tokens, (self.order, 0))
        # so many symbols are known there
        places = torch.arange(tokens.shape[1], device=tokens.device)
        context = torch.zeros_like(tokens)
        for back in reversed(range(self.order)):
            digit = past[:, self.order - back : past.shape[1] - back]
            context = torch.where(places > back, context * self.states + digit, 0)
        rows = context + self.start[places.clamp_max(self.order)]
        return rows.unsqueeze(-1).double()

    def decoder(self, length: int) -> Callable[[Tensor], Tensor]:
        """Reads a batch of texts left to right, the newest tokens (B, L) at a time."""
        seen: list[Tensor] = []

        def read(newest: Tensor) -> Tensor:
            seen.append(newest)
            return self(torch.cat(seen, 1))[:, -newest.shape[1] :]

        return read


def teach(algorithm: Algorithm, language: Language) -> None:
    """Puts a network that knows `language` in the place of the algorithm's own.

    ValueError where its vocabulary is not that of the language and BOS."""
    if algorithm.vocab_size != language.states + 1:
        raise ValueError(
            f"data.states={language.states}: the algorithm has {algorithm.vocab_size} tokens, "
            f"the language {language.states} and BOS"
        )
    network: nn.Module
    if isinstance(algorithm, DiffusionAlgorithm):
        outputs = algorithm.backbone.head.out_features
        network = Denoising(language, algorithm.process, algorithm.ideal_outputs, outputs)
        algorithm.level = lambda t: t
    else:
        network = Reading(language)
    algorithm.backbone = network.eval()  # type: ignore[assignment]
