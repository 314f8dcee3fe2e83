"""Log-likelihoods of continuations: exact from an autoregressive run, a bound with its passes from
a diffusion run."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from algos.base import Algorithm, Batch
from algos.denoising import DiffusionAlgorithm
from data.order import by_length
from diffusion.bound import next_token_nats
from diffusion.chunked import chunked
from diffusion.process import Process
from diffusion.times import evaluation_noise

T = TypeVar("T")


class Pair(NamedTuple):
    """Tokens to score behind those that are given. Pairs with the same `question` share times and
    noise."""

    context: list[int]
    continuation: list[int]
    question: int


class Row(NamedTuple):
    """A text that the network reads: scored from position `start` on; the continuation is at
    `first` to `last`."""

    tokens: list[int]
    start: int
    first: int
    last: int
    question: int


class Answer(NamedTuple):
    """Log-likelihood of each pass (P,) in nats, one pass where it is exact, and whether every token
    of the continuation is the likeliest."""

    passes: Tensor
    greedy: bool


class LogLikelihoods:
    """Log-likelihoods of continuations given contexts, several texts of the network at a time.

    score=continuation: log p(continuation | context). score=full: mean log-likelihood of a token of
    context, continuation and EOS, all of it noised, as DUO's published evaluation ranks choices.
    ValueError for one pass of a bound, whose error would not be known."""

    def __init__(
        self,
        algorithm: Algorithm,
        length: int,
        eos: int,
        passes: int,
        batch_size: int,
        score: Literal["continuation", "full"] = "continuation",
    ):
        if algorithm.nll_is_bound and passes < 2:
            raise ValueError(f"eval.passes={passes}: at least 2 are needed for a standard error")
        self.algorithm = algorithm
        # A causal network does not read the last token of a text.
        self.longest = length + algorithm.facts.causal
        self.eos = eos
        self.passes = passes if algorithm.nll_is_bound else 1
        self.batch_size = batch_size
        self.score = score
        self.truncated = 0

    @torch.no_grad()
    def __call__(self, pairs: Sequence[Pair], quiet: bool = False) -> list[Answer]:
        rows = [self.row(pair) for pair in pairs]
        if isinstance(self.algorithm, DiffusionAlgorithm):
            nats, hits = self.bounds(self.algorithm, rows, quiet)
        else:
            nats, hits = self.exact(rows, quiet)
        if self.score == "full":
            lengths = [len(row.tokens) - row.start for row in rows]
            nats = [total / length for total, length in zip(nats, lengths, strict=True)]
        return [Answer(-total, hit) for total, hit in zip(nats, hits, strict=True)]

    def protocol(self) -> dict[str, Any]:
        """The settings that a log-likelihood depends on, beyond the network and the text."""
        bound = self.algorithm.nll_is_bound
        return {
            "score": self.score,
            "passes": self.passes if bound else None,
            "times": "(0, 1), shared by the choices of a question" if bound else None,
            "likeliest": "one call, all noise" if bound else "token by token",
        }

    def row(self, pair: Pair) -> Row:
        """The end of the text that the network has room for; ValueError for a continuation that
        does not fit."""
        context, continuation = pair.context, pair.continuation
        if len(continuation) + bool(context) > self.longest:
            raise ValueError(
                f"eval.tasks: a continuation of {len(continuation)} tokens does not fit the run's "
                f"model.length={self.algorithm.backbone.length}"
            )
        full = self.score == "full"
        text = context + continuation + [self.eos] * full
        self.truncated += len(text) > self.longest
        tokens = text[-self.longest :]
        last = len(tokens) - full
        first = max(last - len(continuation), 0)
        start = int(self.algorithm.facts.causal) if full else first
        return Row(tokens, start, first, last, pair.question)

    def exact(self, rows: list[Row], quiet: bool) -> tuple[list[Tensor], list[bool]]:
        """Nats (1,) and whether the network would have written the continuation. Texts are filled
        up on the right, which a causal network does not see."""
        network, device = self.algorithm.backbone, self.algorithm.device
        order = sorted(range(len(rows)), key=lambda number: -len(rows[number].tokens))
        nats = [torch.empty(0)] * len(rows)
        hits = [False] * len(rows)
        for start in _progress(range(0, len(rows), self.batch_size), quiet):
            numbers = order[start : start + self.batch_size]
            batch = [rows[number] for number in numbers]
            width = len(batch[0].tokens)
            filled = [row.tokens + [0] * (width - len(row.tokens)) for row in batch]
            tokens = torch.tensor(filled, device=device)
            scored = _between([(row.start, len(row.tokens)) for row in batch], width, device)
            answer = _between([(row.first, row.last) for row in batch], width, device)
            hidden, where = network(tokens[:, :-1]), (scored | answer)[:, 1:]
            scores = chunked(_nats_and_hits, network.head, hidden, tokens[:, 1:], rows=where)
            total = torch.where(scored[:, 1:], scores[..., 0], 0.0).sum(1).cpu()
            missed = (answer[:, 1:] & (scores[..., 1] == 0)).any(1).tolist()
            for i, number in enumerate(numbers):
                nats[number], hits[number] = total[i : i + 1], not missed[i]
        return nats, hits

    def bounds(
        self, algorithm: DiffusionAlgorithm, rows: list[Row], quiet: bool
    ) -> tuple[list[Tensor], list[bool]]:
        """Nats (P,) of the algorithm's own bound, and whether the likeliest tokens of one network
        call on pure noise in the continuation's place are the continuation."""
        jobs = [number for number in range(len(rows)) for _ in range(self.passes)]
        nats = torch.zeros(len(jobs), dtype=torch.float64)
        groups = by_length([rows[number].tokens for number in jobs], self.batch_size)
        for group in _progress(groups, quiet):
            texts = [rows[jobs[job]] for job in group]
            spans = [(row.start, len(row.tokens)) for row in texts]
            batch = self.batch(texts, spans, [job % self.passes for job in group])
            values = algorithm.nll(batch).double()
            nats[group] = torch.where(batch["scored"], values, 0.0).sum(1).cpu()
        hits = [False] * len(rows)
        for group in by_length([row.tokens for row in rows], self.batch_size):
            texts = [rows[number] for number in group]
            batch = self.batch(texts, [(row.first, row.last) for row in texts], [0] * len(group))
            for number, missed in zip(group, _misses(algorithm, batch), strict=True):
                hits[number] = not missed
        return list(nats.reshape(len(rows), self.passes)), hits

    def batch(self, rows: list[Row], spans: list[tuple[int, int]], passes: list[int]) -> Batch:
        """Rows of one length, noised and scored in their spans. Consecutive indices have times
        spread evenly over (0, 1): a question has one for each of its passes."""
        device, number = self.algorithm.device, self.passes
        where = _between(spans, len(rows[0].tokens), device)
        index = [row.question * number + p for row, p in zip(rows, passes, strict=True)]
        return {
            "tokens": torch.tensor([row.tokens for row in rows], device=device),
            "scored": where,
            "noised": where,
            "index": torch.tensor(index),
        }


def _progress(steps: Sequence[T], quiet: bool) -> Iterable[T]:
    return tqdm(steps, desc="log-likelihoods", unit="batch", disable=quiet)


def _nats_and_hits(logits: Tensor, token: Tensor) -> Tensor:
    """(n, 2): -log p(token), and 1 where the token is the likeliest."""
    hit = logits.argmax(-1) == token
    return torch.stack([next_token_nats(logits, token).double(), hit.double()], dim=-1)


def _between(spans: list[tuple[int, int]], width: int, device: torch.device) -> Tensor:
    """(B, width) bool: the positions from each span's start to before its end."""
    position, ends = torch.arange(width, device=device), torch.tensor(spans, device=device)
    return (ends[:, :1] <= position) & (position < ends[:, 1:])


def _misses(algorithm: DiffusionAlgorithm, batch: Batch) -> list[bool]:
    """Whether some noised token of a text is not the likeliest when all of them are pure noise; the
    network is told the time at which so large a share of a text is noise. The noise of t = 1 goes
    over random tokens: where a trace of a text is left there, it is not a trace of the answer."""
    tokens, where = batch["tokens"], batch["noised"]
    uniform = evaluation_noise(batch["index"], tokens.shape[1], algorithm.seed, 0)
    uniform = uniform.to(tokens.device, non_blocking=True)
    end = torch.ones(len(tokens), dtype=torch.float64, device=tokens.device)
    anything = (uniform[1] * algorithm.vocab_size).long()
    z = torch.where(where, algorithm.process.corrupt(anything, end, uniform), tokens)
    t = _time_of(algorithm.process, where.double().mean(1))
    prediction = algorithm.prediction(algorithm.hidden_of(tokens, z, t))
    likeliest = prediction.likeliest(where, algorithm.vocab_size)
    return (where & (likeliest != tokens)).any(1).tolist()


def _time_of(process: Process, noise: Tensor) -> Tensor:
    """t (B,) at which a token is noise with these chances (B,), by halving."""
    low, high = torch.zeros_like(noise), torch.ones_like(noise)
    for _ in range(40):
        middle = (low + high) / 2
        more = 1 - process.schedule(middle).keep.squeeze(-1) < noise
        low, high = torch.where(more, middle, low), torch.where(more, high, middle)
    return high
