"""A run of the suite as a language model of EleutherAI's lm-eval."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from torch import Tensor

from data.tokenizers import Tokenizer
from evaluation.downstream.generation import Generator
from evaluation.downstream.loglikelihood import Answer, LogLikelihoods, Pair

LATER = 2**20  # more questions than a task has: how far the windows of one text lie apart


class Adapter(LM):
    """Answers of `log_likelihoods` and texts of `generator`; every text begins with `begin`.
    `measured` has the passes of all answers, by task and question. Choices of a question are
    measured on the same times and noise, which its number in the task alone decides."""

    def __init__(
        self,
        log_likelihoods: LogLikelihoods,
        generator: Generator,
        tokenizer: Tokenizer,
        begin: list[int],
    ):
        super().__init__()
        self.log_likelihoods = log_likelihoods
        self.generator = generator
        self.tokenizer = tokenizer
        self.begin = begin
        self.measured: dict[str | None, dict[int, list[Tensor]]] = defaultdict(
            lambda: defaultdict(list)
        )

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """log p(continuation | context) in nats of each request, and whether it is the likeliest
        token by token."""
        encoded = self.pairs([request.args for request in requests], map(question, requests))
        answers = self.log_likelihoods(encoded, disable_tqdm)
        self.keep(requests, [answer.passes for answer in answers])
        return [(float(answer.passes.mean()), answer.greedy) for answer in answers]

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """log p(text) in nats: windows of the run's length, every token scored once, the last
        window with as much context as there is room for."""
        encoded = self.encode([request.args[0] for request in requests])
        windows = [
            (number, pair)
            for number, (tokens, request) in enumerate(zip(encoded, requests, strict=True))
            for pair in self.windows(tokens, question(request))
        ]
        answers = self.log_likelihoods([pair for _, pair in windows], disable_tqdm)
        parts: list[list[Answer]] = [[] for _ in requests]
        for (number, _), answer in zip(windows, answers, strict=True):
            parts[number].append(answer)
        nothing = torch.zeros(self.log_likelihoods.passes, dtype=torch.float64)
        totals = [sum((answer.passes for answer in part), start=nothing) for part in parts]
        self.keep(requests, totals)
        return [float(total.mean()) for total in totals]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The text that the run generates behind each prompt, to the first stop."""
        return self.generator([request.args for request in requests], disable_tqdm)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [ids.tolist() for ids in self.tokenizer.encode_batch(texts)]

    def pairs(self, texts: Sequence[tuple[str, str]], questions: Iterable[int]) -> list[Pair]:
        """Tokens of contexts and of what the continuation adds to them; spaces between the two
        belong to the continuation. As the stock adapter has it."""
        contexts = self.encode([context.rstrip() for context, _ in texts])
        wholes = self.encode([context + continuation for context, continuation in texts])
        return [
            Pair(self.begin + context, rest, number)
            for (context, rest), number in zip(
                map(divided, contexts, wholes), questions, strict=True
            )
        ]

    def windows(self, tokens: list[int], number: int) -> list[Pair]:
        """The text number `number` in pieces; its later ones have noise of their own."""
        first = self.begin[0] if self.begin else 0  # in the place of what stands before the text
        cut = get_rolling_token_windows(
            tokens, first, self.log_likelihoods.longest - 1, context_len=1
        )
        return [
            Pair(context if i else self.begin, piece, number + i * LATER)
            for i, (context, piece) in enumerate(map(make_disjoint_window, cut))
        ]

    def truncated(self) -> int:
        """The texts whose beginning was left out, since they are too long for the run."""
        return self.log_likelihoods.truncated + self.generator.truncated

    def keep(self, requests: Sequence[Instance], passes: Sequence[Tensor]) -> None:
        for request, values in zip(requests, passes, strict=True):
            self.measured[request.task_name][question(request)].append(values)


def question(request: Instance) -> int:
    """Its number in the task; choices of one question share it."""
    return request.doc_id or 0


def divided(context: list[int], whole: list[int]) -> tuple[list[int], list[int]]:
    """A context and the tokens that a text has beyond it. Where the continuation only makes the
    context's last tokens longer, the stock adapter ends; here they are scored with it."""
    if len(whole) > len(context):
        return context, whole[len(context) :]
    same = [a == b for a, b in zip(context, whole, strict=False)]
    shared = [*same, False].index(False)
    return whole[:shared], whole[shared:]
