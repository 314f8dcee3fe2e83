"""Numbers as text: as many digits as their error allows, a unit where they are large."""

import math

from leaderboard.tables import Measure

DIGITS = 4  # after the point, at most


def measure(value: Measure) -> str:
    """Mean and error to two digits of the error; the sign of a bound before them."""
    sign = "≤ " if value.is_bound else ""
    if not value.stderr:
        return f"{sign}{value.mean:.{2 if abs(value.mean) >= 1 else 3}f}"
    digits = min(max(1 - math.floor(math.log10(value.stderr)), 0), DIGITS)
    return f"{sign}{value.mean:.{digits}f} ± {value.stderr:.{digits}f}"


def seeds(value: Measure) -> str:
    """The deviation between runs and how many they are; nothing of one."""
    return "" if value.deviation is None else f"{value.deviation:.2g}, n = {value.n}"


def bound(value: Measure) -> str:
    """The mean alone, with the sign of a bound."""
    return f"{'≤ ' if value.is_bound else ''}{value.mean:.3f}"


def fixed(value: float) -> str:
    return f"{value:.3f}"


def words(value: object) -> str:
    return str(value)


def count(value: int) -> str:
    return f"{value:,}"


def amount(value: float) -> str:
    """Four digits and a unit: 169.6M parameters, 262.1B tokens."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
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


def percent(value: float) -> str:
    return f"{value:+.1%}"


def short(seconds: float) -> str:
    """Seconds to three digits."""
    return f"{seconds:.3g}"
