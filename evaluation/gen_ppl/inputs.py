"""The ids that a scorer reads for finished texts, under a protocol."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np

from data.tokenizers import Tokenizer
from evaluation.gen_ppl.protocols import Protocol
from evaluation.gen_ppl.scorer import Passage, Scored, Scorer

Rows = Sequence[list[int]]
Masks = Sequence[list[bool]]


def as_ids(scorer: Scorer, tokenizer: Tokenizer, protocol: Protocol) -> bool:
    """Whether the scorer reads the ids of the samples; ValueError where it must and cannot."""
    same = scorer.digest == tokenizer.digest
    if protocol.read == "ids" and not same:
        raise ValueError(
            f"eval.quality_protocol: it hands tokens to the scorer as they are, but the tokenizer "
            f"of {scorer.provenance['scorer']} is not that of the samples"
        )
    return same and protocol.read != "text"


def passages(
    rows: Rows, fixed: Masks, tokenizer: Tokenizer, scorer: Scorer, protocol: Protocol
) -> list[Passage]:
    """One passage for each text that is not dropped; `fixed` says of each token whether it was
    given."""
    ids = as_ids(scorer, tokenizer, protocol)
    size = min(protocol.group or len(rows), len(rows))
    if protocol.drop_incomplete:
        rows = rows[: len(rows) // size * size]
    texts = []
    for row, given in zip(rows, fixed, strict=False):
        given = given if protocol.given == "context" else [False] * len(row)
        if not ids:
            row, given = _encoded(row, given, tokenizer, scorer, protocol)
        elif tokenizer.extra:  # of no token: the scorer has none for them
            row = [scorer.eos if token in tokenizer.extra else token for token in row]
        texts.append(_passage(row, given, scorer, protocol))
    if protocol.padding == "first label" and not scorer.pads_left:
        groups = [texts[start : start + size] for start in range(0, len(texts), size)]
        texts = [text for group in groups for text in _padded(group, scorer, protocol)]
    return texts


def unreadable(texts: Sequence[Passage], scorer: Scorer, protocol: Protocol) -> str | None:
    """Why the scorer has no perplexity of the passages under the protocol; None where it has."""
    if not any(text.scored.any() for text in texts):
        return "no text has a token that is scored"
    longest = max(len(text.ids) for text in texts)
    if protocol.windows == "one" and longest > scorer.window:
        return (
            f"the protocol reads texts in one piece, and {longest} tokens are more than the "
            f"{scorer.window} that {scorer.provenance['scorer']} can"
        )
    return None


def _encoded(
    row: list[int], given: list[bool], tokenizer: Tokenizer, scorer: Scorer, protocol: Protocol
) -> tuple[list[int], list[bool]]:
    """The scorer's tokens of the decoded text, at most as many as the protocol keeps, and which of
    them were given; what was given and what was drawn are encoded apart."""
    if protocol.read != "ids, else text":
        special = protocol.special_tokens == "kept"
        ids = scorer.encode(tokenizer.decode(row, special=special), True)[: protocol.longest]
        return ids, [False] * len(ids)
    if row[:1] == [tokenizer.bos]:  # the scorer has its own in front
        row, given = row[1:], given[1:]
    ids, mask = [], []
    for was_given, part in groupby(zip(row, given, strict=True), key=itemgetter(1)):
        piece = _pieces([token for token, _ in part], tokenizer, scorer)
        ids += piece
        mask += [was_given] * len(piece)
    return ids, mask


def _pieces(part: list[int], tokenizer: Tokenizer, scorer: Scorer) -> list[int]:
    """The text between special tokens encoded, the scorer's EOS for each of them: spelled out in
    the text, they would be plain characters to another tokenizer."""
    special = {tokenizer.bos, tokenizer.eos, tokenizer.pad, *tokenizer.extra}
    ids: list[int] = []
    for is_special, piece in groupby(part, key=special.__contains__):
        tokens = list(piece)
        if is_special:
            ids += [scorer.eos] * len(tokens)
        else:
            ids += scorer.encode(tokenizer.decode(tokens), False)
    return ids


def _passage(ids: list[int], given: list[bool], scorer: Scorer, protocol: Protocol) -> Passage:
    if protocol.bos == "prepended" and scorer.bos is not None and ids[:1] != [scorer.bos]:
        ids, given = [scorer.bos, *ids], [True, *given]
    scored = ~np.array(given, dtype=np.bool_) & _counting(ids, scorer, protocol)
    scored[:1] = False  # it has no context
    return Passage(ids, scored)


def _padded(group: list[Passage], scorer: Scorer, protocol: Protocol) -> list[Passage]:
    """Texts that are shorter than the longest of their group get the first label of the padding."""
    longest = max(len(text.ids) for text in group)
    padded = []
    for ids, scored in group:
        if len(ids) < longest and ids:
            ids = [*ids, scorer.eos]
            scored = np.append(scored, _counting(ids, scorer, protocol)[-1])
        padded.append(Passage(ids, scored))
    return padded


def _counting(ids: list[int], scorer: Scorer, protocol: Protocol) -> Scored:
    """All tokens, or all but the EOS after the first one, wherever that stands."""
    if protocol.scored == "all":
        return np.ones(len(ids), dtype=np.bool_)
    ends = np.array(ids, dtype=np.int64) == scorer.eos
    return ~ends | (ends.cumsum() == 1)
