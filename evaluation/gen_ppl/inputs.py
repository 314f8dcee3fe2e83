"""What a judge reads of finished texts, under a protocol."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from data.tokenizers import Tokenizer
from evaluation.gen_ppl.protocols import Protocol
from evaluation.gen_ppl.scorer import Judge, Passage, Scored

Rows = Sequence[list[int]]
Masks = Sequence[list[bool]]


def as_ids(judge: Judge, tokenizer: Tokenizer, protocol: Protocol) -> bool:
    """Whether the judge is handed the tokens themselves; ValueError where it must be and cannot."""
    same = judge.digest == tokenizer.digest
    if protocol.read == "ids" and not same:
        raise ValueError(
            f"eval.quality_protocol: it hands tokens to the judge as they are, but the tokenizer "
            f"of {judge.evidence['scorer']} is not that of the samples"
        )
    return same and protocol.read != "text"


def passages(
    rows: Rows, fixed: Masks, tokenizer: Tokenizer, judge: Judge, protocol: Protocol
) -> list[Passage]:
    """One passage for each text that is not dropped; `fixed` says of each token whether it was
    given."""
    ids = as_ids(judge, tokenizer, protocol)
    size = min(protocol.group or len(rows), len(rows))
    if protocol.drop_incomplete:
        rows = rows[: len(rows) // size * size]
    read = []
    for row, known in zip(rows, fixed, strict=False):
        known = known if protocol.given == "context" else [False] * len(row)
        if not ids:
            row, known = _encoded(row, known, tokenizer, judge, protocol)
        read.append(_passage(row, known, judge, protocol))
    if protocol.padding == "first label" and not judge.pads_left:
        groups = [read[start : start + size] for start in range(0, len(read), size)]
        read = [one for group in groups for one in _padded(group, judge, protocol)]
    return read


def unreadable(read: Sequence[Passage], judge: Judge, protocol: Protocol) -> str | None:
    """Why the judge cannot say anything of the passages under the protocol; None where it can."""
    if not any(one.scored.any() for one in read):
        return "no text has a token that is scored"
    longest = max(len(one.ids) for one in read)
    if protocol.windows == "one" and longest > judge.window:
        return (
            f"the protocol reads texts in one piece, and {longest} tokens are more than the "
            f"{judge.window} that {judge.evidence['scorer']} can"
        )
    return None


def _encoded(
    row: list[int], known: list[bool], tokenizer: Tokenizer, judge: Judge, protocol: Protocol
) -> tuple[list[int], list[bool]]:
    """The judge's tokens of the decoded text, at most as many as the protocol keeps, and which of
    them were given; what was given and what was drawn are encoded apart."""
    if protocol.read != "ids, else text":
        special = protocol.special_tokens == "kept"
        ids = judge.encode(tokenizer.decode(row, special=special), True)[: protocol.longest]
        return ids, [False] * len(ids)
    if row[:1] == [tokenizer.bos]:  # in front, it is the judge's own matter
        row, known = row[1:], known[1:]
    ids, mask = [], []
    for was_given, part in groupby(zip(row, known, strict=True), key=lambda one: one[1]):
        piece = _pieces([token for token, _ in part], tokenizer, judge)
        ids += piece
        mask += [was_given] * len(piece)
    return ids, mask


def _pieces(part: list[int], tokenizer: Tokenizer, judge: Judge) -> list[int]:
    """The text between special tokens encoded, the judge's EOS for each of them: spelled out in
    the text, they would be plain characters to another tokenizer."""
    special = {tokenizer.bos, tokenizer.eos, tokenizer.pad}
    found: list[int] = []
    for ends, piece in groupby(part, key=special.__contains__):
        tokens = list(piece)
        found += (
            [judge.eos] * len(tokens) if ends else judge.encode(tokenizer.decode(tokens), False)
        )
    return found


def _passage(ids: list[int], known: list[bool], judge: Judge, protocol: Protocol) -> Passage:
    if protocol.bos == "prepended" and judge.bos is not None and ids[:1] != [judge.bos]:
        ids, known = [judge.bos, *ids], [True, *known]
    scored = ~np.array(known, dtype=np.bool_) & _counting(ids, judge, protocol)
    scored[:1] = False  # nothing stands before it
    return Passage(ids, scored)


def _padded(group: list[Passage], judge: Judge, protocol: Protocol) -> list[Passage]:
    """Texts that are shorter than the longest of their group get the first label of the padding."""
    longest = max(len(one.ids) for one in group)
    padded = []
    for ids, scored in group:
        if len(ids) < longest and ids:
            ids = [*ids, judge.eos]
            scored = np.append(scored, _counting(ids, judge, protocol)[-1])
        padded.append(Passage(ids, scored))
    return padded


def _counting(ids: list[int], judge: Judge, protocol: Protocol) -> Scored:
    """All tokens, or all but the EOS after the first one, wherever that stands."""
    if protocol.scored == "all":
        return np.ones(len(ids), dtype=np.bool_)
    ends = np.array(ids, dtype=np.int64) == judge.eos
    return ~ends | (ends.cumsum() == 1)
