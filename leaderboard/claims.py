"""A plain sentence on which differences of a table are real."""

from collections import Counter
from collections.abc import Sequence

from leaderboard.significance import Side, told_apart

MOST = 6  # pairs that a sentence lists
RULE = "Real: more than two standard errors of the difference"
HOLM = (
    ", and by Holm's procedure over all {n} differences a chance below 5 % that any such claim is "
    "false"
)


def claim(names: Sequence[str], sides: Sequence[Side]) -> tuple[str, bool]:
    """The sentence, and whether the first of the rows is really apart from every other."""
    if len(sides) < 2:
        return "One row: there is no difference to judge.", False
    labels = distinct(names)
    real, here = told_apart(sides), told_apart(sides, new_text=False)
    doubted = [pair for pair, told in real.items() if not told]
    only_here = [pair for pair in doubted if here[pair]]
    unknown = [pair for pair in doubted if not here[pair]]
    parts = [_verdict(labels, doubted, len(real))]
    if only_here and unknown:
        listed = _listed(labels, only_here)
        parts.append(f"Of those, real on this very text but not surely on new text: {listed}.")
    elif only_here:
        parts.append("On this very text they are real, on new text not surely.")
    parts += [f"{RULE}{HOLM.format(n=len(real)) if len(real) > 1 else ''}.", _errors(sides)]
    return " ".join(parts), not any(0 in pair for pair in doubted)


def distinct(names: Sequence[str]) -> list[str]:
    """Names, with the number of the row where two are alike."""
    often = Counter(names)
    return [
        f"{name} (row {place})" if often[name] > 1 else name
        for place, name in enumerate(names, start=1)
    ]


def _verdict(labels: Sequence[str], doubted: list[tuple[int, int]], count: int) -> str:
    if not doubted:
        return "Every difference is real." if count > 1 else "The difference is real."
    if len(doubted) == count:
        return "No difference is real." if count > 1 else "The difference is not real."
    return f"Not told apart: {_listed(labels, doubted)}. Every other difference is real."


def _listed(labels: Sequence[str], pairs: list[tuple[int, int]]) -> str:
    shown = [f"{labels[one]} and {labels[other]}" for one, other in pairs[:MOST]]
    rest = len(pairs) - MOST
    return "; ".join(shown) + (f"; and {rest} more pairs" if rest > 0 else "")


def _errors(sides: Sequence[Side]) -> str:
    """Which question the errors answer."""
    digests = {side.sequences.digest if side.sequences else "" for side in sides}
    if len(digests) == 1 and "" not in digests:
        first = sides[0].sequences
        assert first is not None
        text = (
            f"Differences are taken sequence by sequence over the same {len(first.tokens):,} "
            "sequences; their error is that of new text of this kind, the noise included"
        )
    else:
        text = (
            "Errors are those of the numbers themselves, here; what new text would change is in "
            "them only where rows are paired"
        )
    several = [side.n > 1 for side in sides]
    if all(several):
        return f"{text}, or that between seeds where that is larger still."
    if any(several):
        return (
            f"{text}, or that between seeds where that is larger still; a row of one seed is given "
            "the deviation of the other."
        )
    return f"{text}. One seed each: what another training run would change is not in them."
