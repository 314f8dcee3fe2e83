"""A network that knows a Markov language exactly, in place of a trained one: hidden states that its
head turns into the outputs that the algorithm at hand would have learned."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import Algorithm
from algos.denoising import DiffusionAlgorithm
from backbones.attention import Pattern
from data.markov import MarkovLanguage
from diffusion.process import Process
from diffusion.schedule import per_position
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
    """Knows p(x_l | z without l) of texts that begin with BOS, the token behind the symbols. Its
    level is the time itself."""

    def __init__(
        self,
        language: MarkovLanguage,
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
        this is the BOS; level (B,) or (B, L)."""
        time = per_position(level.double())
        symbols = tokens[:, 1:]
        mix = self.process.schedule(time if level.dim() == 1 else time[:, 1:])
        inner = self.messages.hidden(symbols, mix.keep, self.process.at(symbols, mix))
        time = time.expand(tokens.shape)
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


class BlockDenoising(nn.Module):
    """Knows the same of each block of a text given the blocks before it, as a network with blocks
    is asked: for noisy blocks with the clean text behind them, for whole texts, or behind what a
    memory has of them."""

    def __init__(self, network: Denoising, block: int):
        super().__init__()
        self.network, self.block, self.head = network, block, network.head

    def memory(self) -> "TextMemory":
        return TextMemory()

    def forward(
        self,
        tokens: Tensor,
        level: Tensor,
        pattern: Pattern,
        memory: "TextMemory | None" = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """As `Denoising`."""
        level = per_position(level).expand(tokens.shape)
        if memory is not None:
            before = memory.before(tokens, rows)
            return self._behind(before, tokens, level)
        noisy = pattern.noisy or tokens.shape[1]
        clean = tokens[:, noisy:] if pattern.noisy else tokens
        parts = (slice(start, start + self.block) for start in range(0, noisy, self.block))
        each = [
            self._behind(clean[:, : part.start], tokens[:, :noisy][:, part], level[:, part])
            for part in parts
        ]
        rest = tokens.shape[1] - noisy  # of the clean text nothing is asked
        return F.pad(torch.cat(each, 1), (0, 0, 0, rest))

    def _behind(self, before: Tensor, block: Tensor, level: Tensor) -> Tensor:
        """Of a block (B, n) at levels (B, n) behind clean tokens (B, P). A place of pure noise, of
        which nothing is asked, stands behind both: a text has one symbol at least."""
        process, count = self.network.process, before.shape[1]
        nothing = 0 if process.has_noise else process.mask
        text = F.pad(torch.cat([before, block], 1), (0, 1), value=nothing)
        times = F.pad(F.pad(level.double(), (count, 0)), (0, 1), value=1.0)
        hidden: Tensor = self.network(text, times)[:, count:-1]
        return hidden


class TextMemory:
    """The tokens of texts that were read, in the place of keys and values."""

    def __init__(self) -> None:
        self.position, self.size = 0, 2**31
        self.text: Tensor | None = None
        self.newest: Tensor | None = None

    def before(self, tokens: Tensor, rows: Tensor | None) -> Tensor:
        """The tokens before `tokens` (b, n) in these texts, None for all: then they may stay."""
        if rows is None:
            self.newest = tokens
        if self.text is None:
            return tokens[:, :0]
        return self.text if rows is None else self.text[rows]

    def finish(self, count: int) -> None:
        assert self.newest is not None and self.newest.shape[1] == count
        self.text = self.newest if self.text is None else torch.cat([self.text, self.newest], 1)
        self.position += count

    def keep(self, rows: Tensor) -> None:
        self.text = None if self.text is None else self.text[rows]


class Autoregressive(nn.Module):
    """Knows p(x_l | x_<l) of texts that begin with BOS."""

    start: Tensor
    outputs: Tensor

    def __init__(self, language: MarkovLanguage):
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


def teach(algorithm: Algorithm, language: MarkovLanguage) -> None:
    """Puts a network that knows `language` in the place of the algorithm's own. ValueError where
    its vocabulary is not that of the language and BOS."""
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
        if algorithm.block_size is not None:
            network = BlockDenoising(network, algorithm.block_size)
    else:
        network = Autoregressive(language)
    algorithm.backbone = network.eval()  # type: ignore[assignment]
