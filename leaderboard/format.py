"""Numbers as text: as many digits as their error allows, a unit where they are large."""

from evaluation.rounding import figures, fixed, places_of, with_error
from evaluation.words import printable
from leaderboard.table import Measure

UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))

words = printable
count = "{:,}".format
percent = "{:+.1%}".format
share = "{:.3f}".format
short = "{:.3g}".format  # of seconds


def measure(value: Measure) -> str:
    """Mean and error to two digits of the error; the sign of a bound before them."""
    decimals = 2 if abs(value.mean) >= 1 else 3
    return with_error(value.mean, value.stderr, decimals, "≤ " if value.is_bound else "")


def seeds(value: Measure) -> str:
    """The standard deviation between runs and their number; empty for one run."""
    return "" if value.deviation is None else f"{figures(value.deviation)}, n = {value.n}"


def bound(value: Measure) -> str:
    """The mean with the sign of a bound, to the decimals that its error leaves, three at most."""
    mean = fixed(value.mean, min(places_of(value.stderr, 3), 3))
    return f"{'≤ ' if value.is_bound else ''}{mean}"


def stated(value: Measure | float) -> str:
    """A number of a paper with the digits that it has there."""
    if isinstance(value, Measure):
        return f"{'≤ ' if value.is_bound else ''}{value.mean:g}"
    return f"{value:g}"


def factor(value: Measure) -> str:
    return f"{bound(value)}x"


def evaluations(value: float) -> str:
    """A mean number of network evaluations."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def measured_amount(value: Measure) -> str:
    """A mean with a unit, and its error in the same one: 412.3k ± 9.1k; of none four digits."""
    size, unit = next(((s, u) for s, u in UNITS if abs(value.mean) >= s), (1.0, ""))
    if not value.stderr:
        return f"{value.mean / size:.4g}{unit}"
    text = with_error(value.mean / size, value.stderr / size)
    return f"{text.replace(' ±', f'{unit} ±')}{unit}"


def amount(value: float) -> str:
    """Four digits and a unit: 169.6M parameters, 262.1B tokens."""
    for size, unit in UNITS[3:]:
        if value >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def size(value: float) -> str:
    """Bytes as MB or GB, powers of ten."""
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
