"""A page that plays the trajectories of samples, step by step, in a browser without a network."""

import base64
import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data.tokenizers import Tokenizer
from modes.sample_eval.token_texts import TokenTexts
from samplers.trajectory import Trajectory

HERE = Path(__file__).parent
MASKED = -1  # in place of a text's number
WIDEST = 24  # characters of a masked position


def page(
    title: str, samples: Sequence[Trajectory], tokenizer: Tokenizer, facts: dict[str, str]
) -> str:
    """The page's HTML. Its policy allows exactly its own style and script, and no network."""
    templates = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, undefined=StrictUndefined
    )
    templates.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return templates.get_template("animation.html").render(
        title=title,
        style=(HERE / "animation.css").read_text("utf-8"),
        script=(HERE / "animation.js").read_text("utf-8"),
        hash=_hash,
        facts=facts,
        data=data(samples, tokenizer),
    )


def data(samples: Sequence[Trajectory], tokenizer: Tokenizer) -> dict[str, Any]:
    """The first state of each sample and the changes of every step, as numbers of texts."""
    numbers: dict[str, int] = {}  # of texts, each of which is stored once
    parts = TokenTexts(tokenizer)
    played = [_sample(sample, parts, numbers, tokenizer.vocab_size) for sample in samples]
    return {"texts": list(numbers), "samples": played}


def _sample(
    sample: Trajectory, parts: TokenTexts, numbers: dict[str, int], mask: int
) -> dict[str, Any]:
    """`steps` holds for each step the positions whose token changed with their new texts, flat, and
    then those whose text changed with a neighbour: pieces of one character."""
    states = [[int(i) for i in state] for state in sample.states]
    texts = [parts.parts(tokens) for tokens in states]
    shown = [
        [
            MASKED if token == mask else numbers.setdefault(text, len(numbers))
            for token, text in zip(*state, strict=True)
        ]
        for state in zip(states, texts, strict=True)
    ]
    steps = []
    for (old_tokens, old_texts), (tokens, new_texts) in pairwise(zip(states, shown, strict=True)):
        changed: list[int] = []
        neighbours: list[int] = []
        for i, text in enumerate(new_texts):
            if tokens[i] != old_tokens[i]:
                changed += [i, text]
            elif text != old_texts[i]:
                neighbours += [i, text]
        steps.append([changed, neighbours])
    widths = zip(texts[-1], states[-1], strict=True)
    return {
        "first": shown[0],
        "steps": steps,
        "times": [None if t is None else float(f"{float(t):.4g}") for t in sample.times],
        "fixed": [i for i, is_fixed in enumerate(sample.fixed) if is_fixed],
        "widths": [_width(text, token == mask) for text, token in widths],
    }


def _width(part: str, masked: bool) -> int:
    """Characters of a masked position: as many as the text that comes, so that lines stay put."""
    return 1 if masked else min(max(map(len, part.split("\n"))) or 1, WIDEST)


def _hash(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
