"""What an audit found, as a table, with a mark where a metric does not penalise a generator."""

from typing import Any

from evaluation.rounding import with_error

REAL = "held-out text"
BETTER = {  # the metrics and the sign of what is better
    "entropy": 1,
    "distinct_2": 1,
    "repetition": -1,
    "gen_ppl": -1,
    "mauve": 1,
    "divergence": -1,
    "two_sample_accuracy": -1,
    "train_overlap": -1,
}
# Each says what the others miss: fluency, variety, likeness, novelty.
RECOMMENDED = ("gen_ppl", "entropy", "divergence", "train_overlap")
DIGITS = {"gen_ppl": 2}
LEGEND = (
    "* not penalised: by this metric the generator is not worse than other held-out text, by more\n"
    "  than 1.96 standard errors of the difference. Last column: whether none penalises it of\n"
    f"  {', '.join(RECOMMENDED)}."
)
Numbers = dict[str, Any]


def not_penalised(found: Numbers, real: Numbers) -> list[str]:
    """The metrics by which a generator is at least as good as real text, within the errors."""
    return [
        name
        for name, sign in BETTER.items()
        if name in found and name in real and not _worse(found, real, name, sign)
    ]


def _worse(found: Numbers, real: Numbers, name: str, sign: int) -> bool:
    variance = sum((one[f"{name}_stderr"] or 0.0) ** 2 for one in (found, real))
    return sign * (real[name] - found[name]) > 1.96 * variance**0.5


def table(found: dict[str, Numbers]) -> str:
    """One line for each generator, one column for each metric that the real text has."""
    real = found[REAL]
    names = [name for name in BETTER if name in real]
    rows = [["", *names, "all"]]
    for generator, numbers in found.items():
        marks = [] if generator == REAL else not_penalised(numbers, real)
        cells = [_cell(numbers, name, name in marks) for name in names]
        whole = all(name in marks for name in RECOMMENDED if name in names)
        rows.append(
            [generator, *cells, "" if generator == REAL else "not penalised" if whole else "no"]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_padded, row, widths, range(len(row)))).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], LEGEND])


def _padded(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _cell(numbers: Numbers, name: str, mark: bool) -> str:
    if name not in numbers:
        return "-"
    said = with_error(numbers[name], numbers[f"{name}_stderr"], DIGITS.get(name, 3))
    return said + ("*" if mark else " ")
