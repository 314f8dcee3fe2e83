"""The differences between the rows of a table in words, and the ranks that follow from them."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from evaluation.record_files import Sequences
from leaderboard.aggregate import Entry
from leaderboard.significance import Pair, Side, significant_pairs
from leaderboard.table import BASELINE

LISTED, MOST = 2, 6  # pairs in a sentence, in the statistics behind it
RULE = "Real: more than two standard errors of the difference"
HOLM = ", and by Holm's procedure over all {n} a chance below 5 % that any such claim is false"
PAIRED = (
    "Differences are taken sequence by sequence over the same {n:,} sequences; their error is that "
    "of new text of this kind, the noise included"
)
UNPAIRED = (
    "Errors are those of the numbers themselves, here; what new text would change is in them only "
    "where rows are paired"
)


class Verdict(NamedTuple):
    """The differences between rows in a sentence, the statistics behind it, the rank of each row
    (None where it is not ranked), and the first ranked row where it is really better than every
    other one. Rows share the rank of the first one that they do not really differ from."""

    sentence: str
    detail: str
    ranks: list[int | None]
    best: int | None


def verdict(names: Sequence[str], sides: Sequence[Side], baseline: Collection[int] = ()) -> Verdict:
    """The verdict on rows in order, best first; those of `baseline` are compared, not ranked."""
    real = significant_pairs(sides)
    ranked = [row for row in range(len(sides)) if row not in baseline]
    ranks: list[int | None] = [None] * len(sides)
    leader = 0
    for rank, row in enumerate(ranked):
        leader = rank if real.get((ranked[leader], row), False) else leader
        ranks[row] = leader + 1
    leads = len(ranked) > 1 and all(real[ranked[0], row] for row in ranked[1:])
    best = ranked[0] if leads else None
    if len(sides) < 2:
        return Verdict("One row: there is no difference to judge.", "", ranks, best)
    labels, here = numbered(names), significant_pairs(sides, new_text=False)
    doubted = [pair for pair, is_real in real.items() if not is_real]
    only_here = [pair for pair in doubted if here[pair]]
    detail = []
    if LISTED < len(doubted) < len(real):
        detail.append(f"Not real: {_pairs(labels, doubted)}.")
    if only_here:
        pairs = _pairs(labels, only_here)
        detail.append(f"Real on this very text but not surely on new text: {pairs}.")
    detail += [f"{RULE}{HOLM.format(n=len(real)) if len(real) > 1 else ''}.", _errors(sides)]
    sentence = f"{_differences(labels, doubted, len(real))} ({_design(sides)})."
    return Verdict(sentence, " ".join(detail), ranks, best)


def of_entries(entries: Sequence[Entry], side: Callable[[Entry], Side]) -> Verdict:
    """The verdict on entries in order, those in conflict last: they are neither compared nor
    ranked, and beside them no row is the best."""
    agreed = [entry for entry in entries if not entry.conflict]
    baseline = [row for row, entry in enumerate(agreed) if entry.records[0].algo == BASELINE]
    made = verdict([entry.name for entry in agreed], [side(entry) for entry in agreed], baseline)
    conflicts = len(entries) - len(agreed)
    ranks = [*made.ranks, *[None] * conflicts]
    return made._replace(ranks=ranks, best=None if conflicts else made.best)


def numbered(names: Sequence[str]) -> list[str]:
    """Names, with the number of the row where two are alike."""
    counts = Counter(names)
    rows = enumerate(names, 1)
    return [f"{name} (row {row})" if counts[name] > 1 else name for row, name in rows]


def _differences(labels: Sequence[str], doubted: list[Pair], count: int) -> str:
    if count == 1:
        return f"The difference is {'not ' if doubted else ''}real"
    if not doubted:
        return f"All {count} differences are real"
    if len(doubted) == count:
        return f"None of the {count} differences is real"
    verb = "is" if count - len(doubted) == 1 else "are"
    pairs = f", not {_pairs(labels, doubted)}" if len(doubted) <= LISTED else ""
    return f"{count - len(doubted)} of {count} differences {verb} real{pairs}"


def _pairs(labels: Sequence[str], pairs: list[Pair]) -> str:
    shown = [f"{labels[first]} and {labels[second]}" for first, second in pairs[:MOST]]
    return "; ".join([*shown, *([f"{len(pairs) - MOST} more"] if len(pairs) > MOST else [])])


def _paired(sides: Sequence[Side]) -> Sequences | None:
    """The sequences that all rows scored, as the first row scored them."""
    sequences = sides[0].sequences
    digests = {side.sequences.digest if side.sequences else "" for side in sides}
    return sequences if len(digests) == 1 else None


def _design(sides: Sequence[Side]) -> str:
    paired, seeds = _paired(sides), sorted({side.n for side in sides})
    pairing = "unpaired" if paired is None else f"paired, {len(paired.tokens):,} sequences"
    if len(seeds) > 1:
        return f"{pairing}; {seeds[0]} to {seeds[-1]} seeds"
    return f"{pairing}; {'one seed' if seeds == [1] else f'{seeds[0]} seeds'} each"


def _errors(sides: Sequence[Side]) -> str:
    """The question that the errors answer."""
    paired, one_seed = _paired(sides), [side.n == 1 for side in sides]
    text = UNPAIRED if paired is None else PAIRED.format(n=len(paired.tokens))
    if all(one_seed):
        return f"{text}. One seed each: what another training run would change is not in them."
    lent = "; a row of one seed is given the deviation of the other" if any(one_seed) else ""
    return f"{text}, or that between seeds where that is larger still{lent}."
