"""Numbers as text, with the digits that their standard errors leave meaning to."""

import math

FIGURES = 2  # of an error; its number ends at the same place
MOST_DECIMALS = 12
LARGE = 1e7  # from here on a power of ten is taken out


def with_error(value: float, stderr: float | None, decimals: int = 3, sign: str = "") -> str:
    """`value` and its error to two figures of the error, both in the same form; the value alone to
    `decimals` where the error is not known, or 0. `sign` goes before it: that of a bound."""
    if not stderr or math.isnan(stderr) or not math.isfinite(value):
        return sign + fixed(value, decimals)
    if math.isinf(stderr):
        return f"{sign}{value:.{FIGURES}g} ± inf"
    if max(abs(value), stderr) >= LARGE:
        power = math.floor(math.log10(max(abs(value), stderr)))
        inner = with_error(value / 10.0**power, stderr / 10.0**power, decimals)
        return f"{sign}({inner})e{power}" if "±" in inner else f"{sign}{inner}e{power}"
    places = places_of(stderr, decimals)
    error = fixed(stderr, places)
    return sign + (f"{fixed(value, places)} ± {error}" if float(error) else fixed(value, decimals))


def places_of(stderr: float | None, decimals: int) -> int:
    """The number of decimals of a value that its error leaves meaning to, negative before the
    point; `decimals` where the error is not known, 0 or that of the arithmetic alone."""
    if not stderr or not math.isfinite(stderr) or stderr < 10.0**-MOST_DECIMALS:
        return decimals
    rounded = float(f"{stderr:.{FIGURES - 1}e}")  # 0.0996 is 0.10
    return min(FIGURES - 1 - math.floor(math.log10(rounded)), MOST_DECIMALS)


def fixed(value: float, places: int) -> str:
    """`value` to so many places after the point, or before it where they are negative; with a power
    of ten where it is large."""
    if abs(value) >= LARGE:
        return f"{value:.4g}"
    return f"{round(value, places) if places < 0 else value:.{max(places, 0)}f}"


def figures(value: float) -> str:
    """`value` to two figures, with a power of ten for the largest and smallest numbers alone."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    places = places_of(abs(value), 0)
    return fixed(value, places) if abs(value) >= 10**-MOST_DECIMALS else f"{value:.{FIGURES}g}"
