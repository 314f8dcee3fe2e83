"""Numbers and their errors as text: no digit beyond what the error leaves meaning to."""

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evaluation.rounding import MOST_DECIMALS, fixed, places_of, with_error

PAIR = re.compile(r"\(?(-?[\d.]+) ± ([\d.]+)\)?(?:e(-?\d+))?")
SIZES = st.floats(1e-11, 1e140)
VALUES = st.one_of(st.just(0.0), SIZES, SIZES.map(lambda size: -size))


@pytest.mark.parametrize(
    ("value", "stderr", "words"),
    [
        (4011.6483, 6200.0, "4000 ± 6200"),
        (13.4361, 0.0881, "13.436 ± 0.088"),
        (12.3, 0.0996, "12.30 ± 0.10"),  # which has two figures, not three
        (123456.0, 99.6, "123460 ± 100"),
        (0.001, 0.5, "0.00 ± 0.50"),
        (-3.2, 0.04, "-3.200 ± 0.040"),
        (1e-9, 1e-10, "0.00000000100 ± 0.00000000010"),
        (1e20, 1e18, "(1.000 ± 0.010)e20"),
        (1.5, 1e20, "(0.0 ± 1.0)e20"),
        (13.4361, 0.0, "13.436"),
        (13.4361, None, "13.436"),
        (13.4361, math.nan, "13.436"),
        (13.4361, math.inf, "13 ± inf"),
        (5.0, 1e-14, "5.000"),
        (1e16, 1e-3, "1.000e16"),
        (2.5e7, None, "2.5e+07"),
        (math.nan, 0.1, "nan"),
    ],
)
def test_what_is_written(value, stderr, words):
    assert with_error(value, stderr) == words
    assert with_error(value, stderr, sign="<= ") == f"<= {words}"


@example(1e12, 1.0)  # the last decimal is one figure of the error
@given(VALUES, SIZES)
def test_value_and_error_end_at_the_same_place(value, stderr):
    said = with_error(value, stderr)
    if "±" not in said:  # below what a float64 of this size can differ by
        assert stderr < 1e-11 * abs(value) or stderr < 1e-11
        return
    found = PAIR.fullmatch(said)
    assert found is not None, said
    number, error, power = found.groups()
    assert len(number.partition(".")[2]) == len(error.partition(".")[2])
    figures = error.replace(".", "").lstrip("0")
    assert len(figures.rstrip("0")) <= 2  # two, and what is before the point
    assert len(figures) >= 2 or len(error.partition(".")[2]) == MOST_DECIMALS
    unit = 10.0 ** (places_of(float(error), 0) * -1 + int(power or 0))
    assert abs(float(error) * 10.0 ** int(power or 0) - stderr) <= 0.51 * unit
    assert abs(float(number) * 10.0 ** int(power or 0) - value) <= 0.51 * unit + 1e-9 * abs(value)


@pytest.mark.parametrize("places", [-2, 0, 3])
def test_a_number_to_so_many_places(places):
    assert float(fixed(1234.5678, places)) == pytest.approx(round(1234.5678, places), abs=0.51)


@pytest.mark.parametrize(("stderr", "places"), [(None, 3), (0.0, 3), (4e-19, 3), (0.0012, 4)])
def test_an_error_of_the_arithmetic_alone_says_nothing_of_the_digits(stderr, places):
    assert places_of(stderr, 3) == places
