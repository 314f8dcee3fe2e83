"""Texts that a run generates for a task, from a prompt to a stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from algos.base import Algorithm
from data.tokenizers import Tokenizer
from diffusion.times import seed_of
from samplers.build import draw
from samplers.config import SamplerConfig

MOST_TOKENS = 256  # of a task that does not say, as in the stock adapter
KNOWN = ("until", "max_gen_toks", "do_sample", "temperature", "top_k", "top_p")

Request = tuple[str, dict[str, Any]]  # a prompt and its generation_kwargs


@dataclass
class Generator:
    """Continues prompts by the run's own sampler, several at a time; `draws` makes it for the
    sampling keys that a task sets. All of a batch are drawn as long as its longest, which a
    diffusion run sees: batches are of prompts of about the same length."""

    algorithm: Algorithm
    tokenizer: Tokenizer
    begin: list[int]
    draws: Callable[[dict[str, Any]], SamplerConfig]
    batch_size: int
    seed: int
    truncated: int = 0  # prompts so far

    @torch.no_grad()
    def __call__(self, requests: Sequence[Request], quiet: bool = False) -> list[str]:
        """ValueError for a setting that is not known, and for more tokens than the run can hold."""
        for _, wanted in requests:
            self.check(wanted)
        encoded = self.tokenizer.encode_batch([text for text, _ in requests])
        prompts = [
            self.prompt(ids.tolist(), wanted)
            for ids, (_, wanted) in zip(encoded, requests, strict=True)
        ]
        order = sorted(range(len(requests)), key=lambda i: (repr(requests[i][1]), len(prompts[i])))
        written = [""] * len(requests)
        with tqdm(total=len(order), desc="texts", unit="text", disable=quiet) as bar:
            while order:
                wanted = requests[order[0]][1]
                alike = [i for i in order[: self.batch_size] if requests[i][1] == wanted]
                torch.manual_seed(seed_of(self.seed, len(order)))
                drawn = self.draw([prompts[i] for i in alike], wanted)
                for number, tokens in zip(alike, drawn, strict=True):
                    written[number] = self.cut(tokens, wanted)
                order = order[len(alike) :]
                bar.update(len(alike))
        return written

    def check(self, wanted: dict[str, Any]) -> None:
        """The sampler is made once: what it refuses is refused before anything is drawn."""
        for key in wanted:
            if key not in KNOWN:
                raise ValueError(f"generation_kwargs.{key}: not known; {', '.join(KNOWN)} are")
        longest, most = self.algorithm.backbone.length, _most(wanted)
        if not 0 < most < longest:
            raise ValueError(
                f"generation_kwargs.max_gen_toks={most}: must leave room for a prompt in the run's "
                f"model.length={longest}"
            )
        self.draws(sampling_keys(wanted))

    def prompt(self, ids: list[int], wanted: dict[str, Any]) -> list[int]:
        """The end of it, where there is too much."""
        room, whole = self.algorithm.backbone.length - _most(wanted), self.begin + ids
        self.truncated += len(whole) > room
        return whole[-room:]

    def draw(self, prompts: list[list[int]], wanted: dict[str, Any]) -> list[list[int]]:
        """The tokens behind each prompt, before they are cut."""
        most, device = _most(wanted), self.algorithm.device
        width = max(map(len, prompts)) + most
        prompt_lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        fixed = torch.arange(width, device=device) < prompt_lengths.unsqueeze(-1)
        filled = [prompt + [self.tokenizer.pad] * (width - len(prompt)) for prompt in prompts]
        tokens = torch.tensor(filled, device=device)
        sampler = self.draws(sampling_keys(wanted))
        rows = draw(sampler, self.algorithm, tokens, fixed).tokens.tolist()
        starts = map(len, prompts)
        return [row[start : start + most] for start, row in zip(starts, rows, strict=True)]

    def cut(self, tokens: list[int], wanted: dict[str, Any]) -> str:
        """The text before the first stop: the tokenizer's end of a text, or one of `until`."""
        end = tokens.index(self.tokenizer.eos) if self.tokenizer.eos in tokens else len(tokens)
        text, until = self.tokenizer.decode(tokens[:end]), wanted.get("until") or []
        for stop in [until] if isinstance(until, str) else until:
            text = text.split(stop)[0] if stop else text
        return text


def sampling_keys(wanted: dict[str, Any]) -> dict[str, Any]:
    """The keys of `sampling` for generation_kwargs, read as the stock adapter does: what is not to
    be sampled (temperature 0, the default) is the likeliest token of each prediction."""
    temperature = float(wanted.get("temperature") or 0.0)
    if not wanted.get("do_sample", temperature > 0) or wanted.get("temperature") == 0:
        return {"temperature": 1.0, "top_k": 1, "p_nucleus": 1.0, "min_p": 0.0}
    top_p = wanted.get("top_p")
    return {
        "temperature": temperature or 1.0,
        "top_k": wanted.get("top_k") or None,
        "p_nucleus": 1.0 if top_p is None else float(top_p),
        "min_p": 0.0,
    }


def _most(wanted: dict[str, Any]) -> int:
    return int(wanted.get("max_gen_toks", MOST_TOKENS))
