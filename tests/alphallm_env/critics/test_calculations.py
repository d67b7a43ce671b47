"""Calculations that solutions state: which are found, which are right, and what is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.critics.calculations import calculations


@pytest.mark.parametrize(
    "text",
    [
        "So he has 200 - 50 = 150 fish left.",
        "She pays 3 * $12 = $36.00.",
        "The total is $1,200 + $34.50 = $1,234.50, which is more.",
        "60 minutes/hour * 2 hours = 120 minutes",
        "4 boxes of 5 pens: 4 boxes * 5 pens per box = 20 pens",
        "20% of 50 = 10",
        "20% * 50 = 10",
        "80 / 100 = 80%",
        "(80/100) * 100 = 80%",
        "3/4 of 20 = 15",
        r"\[ \frac{1}{2} \times 60 = 30 \]",
        r"\(\$3 \cdot 4 = \$12\)",
        r"1{,}200 \div 4 = 300",
        r"\text{cost} = 3 \times 4 = 12",
        "10 / 3 = 3.33",
        "10 / 3 ≈ 3",
        "1/3 = 33%",
        "5 x 3 = 15",
        "5 × 3 − 1 = 14",
        "- 5 * 3 = 15",
        "-5 + 3 = -2",
        "(5 * 3 = 15)",
        "2 + 3 = 1 + 4",
        "5 * 3 = 15 + 2",
    ],
)
def test_right_calculations(text: str):
    assert [calculation.is_right for calculation in calculations(text)] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "So he has 200 - 50 = 140 fish left.",
        "3 naps * 2 hours = 60 hours",
        r"\[5 + 20 + 10 + 30 = 75\]",
        "7/4 = 1",
        "10 / 3 = 3.34",
        "20% of 50 = 20",
        "450 - 650 = 200",
        "1,000 * 2 = 200",
        "2 * (3 + 4) = 10",
    ],
)
def test_wrong_calculations(text: str):
    assert [calculation.is_right for calculation in calculations(text)] == [False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "There are 12 pens.",
        "2x + 3 = 11",
        "x = 3 + 4",
        "3n = 12 * 2",
        "the answer = 5",
        "Number of men under 5 feet = 0.5 * 60",
        "1 1/2 * 4 = 6",
        r"2\frac{1}{2} * 4 = 10",
        "1 / 0 = 5",
        "2 + = 4",
        "10 - 5 = ?",
        "2^10^10^10 * 3 = 4",
    ],
)
def test_what_is_no_calculation(text: str):
    assert calculations(text) == []


def test_each_of_a_chain_is_looked_at():
    found = calculations("Total = 2 * 3 + 4 = 6 + 4 = 11\n12 + 3 = 15, 15 * 2 = 31.")
    assert [(c.left, c.right, c.is_right) for c in found] == [
        ("2*3+4", "6+4", True), ("6+4", "11", False), ("12+3", "15", True), ("15*2", "31", False)
    ]  # fmt: skip


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.sampled_from("+-*"), st.integers(-3, 3))
def test_whole_numbers_are_exact(one: int, other: int, sign: str, off: int):
    value = {"+": one + other, "-": one - other, "*": one * other}[sign] + off
    [found] = calculations(f"That makes {one} {sign} {other} = {value}.")
    assert found.is_right == (off == 0)


@given(st.text(alphabet=st.characters() | st.sampled_from("0123456789.,()+-*/=%$ \\{}xfrac\n٣²½"), max_size=200))
def test_any_text_is_survived(text: str):
    calculations(text)


@pytest.mark.parametrize(
    "text", ["(" * 100_000, "1+" * 100_000 + "=1", "9" * 100_000 + "*9=1", "1=" * 100_000, "1 " * 100_000 + "=2",
             "\\frac{" * 50_000, "1 a a " * 30_000 + "=", "1/" * 9_000 + "3=4", "1," * 50_000, "\n" * 100_000,
             "1*99999999999999999999=" * 5_000, "$" * 100_000, "1%" * 50_000, "1 of " * 30_000]
)  # fmt: skip
def test_hostile_text_takes_a_moment(text: str):
    start = time.process_time()
    calculations(text)
    assert time.process_time() - start < 5.0
