"""Laws of grading: reflexive, symmetric, blind to formatting, and never blind to a different number."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from alphallm_env.grading import Grader, Verdict
from alphallm_env.grading.equivalence import OpenComparison, decide

Format = Callable[[Fraction], str | None]
FORMATS: list[Format] = [
    lambda number: str(number),
    lambda number: rf"\frac{{{number.numerator}}}{{{number.denominator}}}",
    lambda number: rf"\dfrac{{{2 * number.numerator}}}{{{2 * number.denominator}}}",
    lambda number: f"({number.numerator})/({number.denominator})",
    lambda number: rf"${number}$",
    lambda number: rf"\boxed{{{number}}}",
    lambda number: rf"x = {number}",
    lambda number: f"{number}.",
    lambda number: f"{number} apples",
    lambda number: rf"{number}\text{{ cm}}",
    lambda number: f"**{number}**",
    lambda number: f"{float(number)}" if Fraction(str(float(number))) == number else None,
    lambda number: f"{number.numerator:,}" if number.denominator == 1 else None,
    lambda number: f"{number.numerator:,}".replace(",", "{,}") if number.denominator == 1 else None,
    lambda number: f"{number.numerator:,}".replace(",", r"\,") if number.denominator == 1 else None,
    lambda number: mixed(number) if number > 1 and number.denominator > 1 else None,
    lambda number: f"{number.numerator}e0" if number.denominator == 1 else None,
    lambda number: rf"{number.numerator} \times 10^{{0}}" if number.denominator == 1 else None,
]


def mixed(number: Fraction) -> str:
    whole, part = divmod(number, 1)
    return rf"{whole}\frac{{{part.numerator}}}{{{part.denominator}}}"


NUMBERS = st.fractions(-100_000, 100_000, max_denominator=400) | st.integers(-(10**9), 10**9).map(Fraction)
WRITTEN = st.sampled_from(FORMATS)


def written(format_number: Format, number: Fraction) -> str:
    text = format_number(number)
    assume(text is not None)
    assert text is not None
    return text


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(NUMBERS, WRITTEN, WRITTEN)
def test_a_number_is_equal_to_itself_however_it_is_written(number: Fraction, one: Format, other: Format):
    assume(not ("apples" in written(one, number) and "cm" in written(other, number)))
    assume(not ("cm" in written(one, number) and "apples" in written(other, number)))
    assert decide(written(one, number), written(other, number)) is Verdict.CORRECT


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(NUMBERS, NUMBERS, WRITTEN, WRITTEN)
def test_another_number_is_never_equal(number: Fraction, another: Fraction, one: Format, other: Format):
    assume(number != another)
    assert decide(written(one, number), written(other, another)) is Verdict.INCORRECT


@given(NUMBERS, WRITTEN)
def test_neighbours_are_never_equal(number: Fraction, one: Format):
    for near in (number + 1, number - 1, -number, number * 10, number + Fraction(1, 1_000_000), number / 10):
        if near != number:
            assert decide(written(one, number), str(near)) is Verdict.INCORRECT


@given(st.lists(NUMBERS, min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_a_list_is_equal_in_any_order_and_not_without_an_element(numbers: list[Fraction], random: Random):
    shuffled = random.sample(numbers, len(numbers))
    gold = ", ".join(map(str, numbers))
    assert decide(", ".join(map(str, shuffled)), gold) is Verdict.CORRECT
    assert decide(r"\{" + ", ".join(map(str, shuffled)) + r"\}", gold) is Verdict.CORRECT
    assert decide(" or ".join(map(str, shuffled)), gold) is Verdict.CORRECT
    assert decide(", ".join(map(str, shuffled[1:])), gold) is Verdict.INCORRECT
    assert decide(gold, str(numbers[0])) is Verdict.INCORRECT


@given(st.lists(NUMBERS, min_size=2, max_size=5), st.lists(NUMBERS, min_size=2, max_size=5))
def test_tuples_are_equal_in_their_order_alone(one: list[Fraction], other: list[Fraction]):
    texts = ["(" + ", ".join(map(str, numbers)) + ")" for numbers in (one, other)]
    assert decide(*texts) is (Verdict.CORRECT if one == other else Verdict.INCORRECT)
    assert decide(texts[0], texts[0].replace("(", "[")) is Verdict.INCORRECT


PIECES = st.sampled_from(
    [
        "1", "2", "-3", "1/2", "0.5", "(1, 2)", "[1,2)", "{1, 2}", "1, 2", "1 or 2", "5 cm", "5 m", "x = 1", "y = 1",
        "Yes", "no", "(C)", "C",
    ]
)  # fmt: skip


@given(PIECES, PIECES)
def test_plain_answers_are_compared_alike_both_ways(one: str, other: str):
    assert _unordered(decide(one, other)) == _unordered(decide(other, one))


def _unordered(found: Verdict | OpenComparison) -> Verdict | set[frozenset[str]]:
    """Returns the verdict, or what is left for algebra, which is the same question from either side."""
    return found if isinstance(found, Verdict) else {frozenset(pair) for pair in found.pairs}


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        yield grader


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=4), st.integers(-5, 5), st.integers(1, 9))
def test_a_polynomial_is_equal_to_its_expansion_and_to_no_other(
    grader: Grader, coefficients: list[int], root: int, off: int
):
    terms = [f"{c}x^{{{power}}}" for power, c in enumerate(coefficients)]
    inner = " + ".join(f"({term})" for term in terms)
    product = f"(x - ({root}))({inner})"
    expanded = [0] * (len(coefficients) + 1)
    for power, c in enumerate(coefficients):
        expanded[power + 1] += c
        expanded[power] -= root * c
    sum_of_terms = " + ".join(f"({c})x^{{{power}}}" for power, c in enumerate(expanded))
    assert grader.grade(product, sum_of_terms) is Verdict.CORRECT
    assert grader.grade(sum_of_terms, product) is Verdict.CORRECT
    assert grader.grade(f"{product} + {off}", sum_of_terms) is Verdict.INCORRECT
    assert grader.grade(f"{product} + {off}x", sum_of_terms) is Verdict.INCORRECT
