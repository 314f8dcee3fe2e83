"""A page that plays how a sampler made its texts, step by step, in a browser without a network."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.tokenizers import Tokenizer
from modes.sample_eval.token_texts import TokenTexts
from samplers.trajectory import Trajectory
from storage import write_atomic

PARTS = Path(__file__).with_name("animation.html")
MASKED = -1  # in place of a text's number
WIDEST = 24  # characters of a masked place


class _Texts:
    """Numbers for the texts of a page, so that each is stored once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def write_page(
    file: Path,
    title: str,
    samples: Sequence[Trajectory],
    tokenizer: Tokenizer,
    facts: dict[str, str],
) -> Path:
    """The page at `file`, whole or not at all."""
    write_atomic(file, page(title, samples, tokenizer, facts))
    return file


def page(
    title: str, samples: Sequence[Trajectory], tokenizer: Tokenizer, facts: dict[str, str]
) -> str:
    """The page's HTML. Its policy allows exactly its own style and script, and no network."""
    style, script = (PARTS.with_suffix(kind).read_text("utf-8") for kind in (".css", ".js"))
    rows = (f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts.items())
    filled = {
        "title": html.escape(title),
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "facts": "\n".join(rows),
        "data": _in_script(data(samples, tokenizer)),
    }
    # In one pass: what a text says is never taken for a place to fill.
    return re.sub(r"@(\w+)@", lambda found: filled[found[1]], PARTS.read_text("utf-8"))


def data(samples: Sequence[Trajectory], tokenizer: Tokenizer) -> dict[str, Any]:
    """What the page plays: the first state of each sample and what every step changes in it."""
    texts, parts = _Texts(), TokenTexts(tokenizer)
    played = [_sample(sample, parts, texts, tokenizer.vocab_size) for sample in samples]
    return {"texts": list(texts.numbers), "samples": played}


def _sample(sample: Trajectory, parts: TokenTexts, texts: _Texts, mask: int) -> dict[str, Any]:
    """`steps` holds for each step the positions whose token changed with their new texts, flat, and
    then those whose text changed with a neighbour: pieces of one character."""
    before = [int(i) for i in sample.states[0]]
    shown = _numbers(before, parts, texts, mask)
    first, steps = list(shown), []
    for state in sample.states[1:]:
        now = [int(i) for i in state]
        moved = [place for place, (a, b) in enumerate(zip(before, now, strict=True)) if a != b]
        own, others = {place: shown[place] for place in moved}, {}
        for place, text in parts.changed(now, moved):
            number = MASKED if now[place] == mask else texts.number(text)
            if place in own:
                own[place] = number
            elif number != shown[place]:
                others[place] = number
            shown[place] = number
        steps.append([[x for pair in group.items() for x in pair] for group in (own, others)])
        before = now
    return {
        "first": first,
        "steps": steps,
        "times": [None if t is None else float(f"{float(t):.4g}") for t in sample.times],
        "fixed": [place for place, given in enumerate(sample.fixed) if given],
        "widths": [
            _width(part, token == mask)
            for part, token in zip(parts.parts(before), before, strict=True)
        ],
    }


def _numbers(tokens: list[int], parts: TokenTexts, texts: _Texts, mask: int) -> list[int]:
    return [
        MASKED if token == mask else texts.number(part)
        for token, part in zip(tokens, parts.parts(tokens), strict=True)
    ]


def _width(part: str, masked: bool) -> int:
    """Characters that a masked place takes: as many as what comes, so that lines stay put."""
    return 1 if masked else min(max(map(len, part.split("\n"))) or 1, WIDEST)


def _in_script(content: Any) -> str:
    """JSON that no reader of HTML or of scripts can take for anything else."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub(r"[<>&\u2028\u2029\ud800-\udfff]", lambda odd: f"\\u{ord(odd[0]):04x}", text)


def _hash(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
