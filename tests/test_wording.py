"""Wording that messages and pages share."""

import math

import numpy as np
import pytest

from foveate.wording import percent, short_number


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.985, "98.5%"),
        (1.0, "100.0%"),
        (1 - 1e-12, "100.0%"),
        (0.9996, "99.96%"),
        (0.99996, "99.996%"),
        (0.9999999, ">99.999%"),
        (0.0, "0.0%"),
        (1e-12, "0.0%"),
        (0.0004, "0.04%"),
        (0.000001, "<0.001%"),
        (1.42, "142.0%"),
        (math.nan, "–"),
        (np.float64(0.5), "50.0%"),
    ],
)
def test_only_all_is_a_hundred_percent_and_only_nothing_is_zero(share, text):
    assert percent(share) == text


def test_no_share_between_is_shown_as_all_or_nothing():
    for share in 10 ** np.linspace(-8, -0.01, 200):
        for one in (share, 1 - share):
            assert percent(float(one)) not in ("0.0%", "100.0%", "0.00%", "100.00%")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (12, "12"),
        (12.0, "12"),
        (0, "0"),
        (62.532, "62.5"),
        (99.96, "100"),
        (1_234_567.9, "1234567.9"),
        (0.999, "1"),
        (0.2222, "0.22"),
        (0.003123, "0.0031"),
        (0.00001, "0.00001"),
        (-0.25, "-0.25"),
        (math.nan, "nan"),
    ],
)
def test_a_short_number_has_a_decimal_or_two_digits(number, text):
    assert short_number(number) == text


def test_only_zero_is_written_as_zero():
    for number in 10 ** np.linspace(-9, 3, 200):
        assert float(short_number(float(number))) == pytest.approx(number, rel=0.06)
