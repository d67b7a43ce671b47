"""Kinds of answers that people reported graders to misjudge, in both directions, with values of our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.grading import Grader, Verdict
from alphallm_env.grading.characters import plain_characters
from alphallm_env.grading.quantities.numerals import changes_number, scale
from alphallm_env.grading.quantities.phrases import measure

EQUAL = [
    ("x \\neq 1", "(-\\infty,1)\\cup(1,\\infty)"),
    ("\\mathbb{R}\\setminus\\{1\\}", "x\\ne 1"),
    ("\\mathbb{R} \\setminus \\{-2, 2\\}", "(-\\infty,-2)\\cup(-2,2)\\cup(2,\\infty)"),
    ("x \\neq 2, x \\neq -2", "\\mathbb{R}\\backslash\\{-2,2\\}"),
    ("{5}", "5"),
    ("\\{5\\}", "5"),
    ("5", "\\{5\\}"),
    ("[[1,2],[3,4]]", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}"),
    ("p=5,q=2; p=7,q=2", "(5,2),(7,2)"),
    ("(5,2),(7,2)", "p=5,q=2; p=7,q=2"),
    ("x=3, y=4", "(3,4)"),
    (
        "\\begin{cases} x & x>0 \\\\ -x & x \\le 0\\end{cases}",
        "\\begin{cases} -x & \\text{if } x\\leq 0 \\\\ x, & \\text{if } x>0\\end{cases}",
    ),
    ("\\begin{cases} x=1\\\\y=2\\end{cases}", "x=1,y=2"),
    ("(C) a rhombus", "C"),
    ("[B]", "B"),
    ("[D] 12", "D"),
    ("12th", "12"),
    ("12^{\\text{th}}", "12"),
    ("the 12th", "12"),
    ("\\textcolor{red}{27}", "27"),
    ("\\boldsymbol{\\frac{1}{2}}", "0.5"),
    ("\\sfrac{1}{2}", "0.5"),
    ("\\{\\}", "\\emptyset"),
    ("\\varnothing", "\\{ \\}"),
    ("no solution", "\\emptyset"),
    ("well-known", "well known"),
    ("2:30 p.m.", "2:30 PM"),
    ("14:30", "2:30 PM"),
    ("2 p.m.", "2:00 PM"),
    ("0.\\overline{36}", "4/11"),
    ("0.(36)", "4/11"),
    ("0.\\dot{3}", "1/3"),
    ("0.3̅", "1/3"),
    ("¾", "0.75"),
    ("x⁴", "x^4"),
    ("10⁻³", "0.001"),
    ("－５", "-5"),
    ("27 👍", "27"),
    ("3 dozen", "36"),
    ("4 million", "4000000"),
    ("$4 million", "4{,}000{,}000"),
    ("5 eighth notes", "5"),
    ("3 eighths", "3/8"),
    ("18 apples", "18"),
    ("18 red apples", "18"),
    ("She has 18 apples left.", "18"),
    ("18 apples left", "18"),
    ("45 mph", "45"),
    ("1 apple", "1"),
    ("0.75 of the pizza", "0.75"),
    ("20 kWh", "20"),
    ("20 Ω", "20"),
    ("20 kΩ", "20"),
    ("25℃", "25"),
    ("25 degrees Celsius", "25"),
    ("98.6°F", "98.6"),
    ("18 times", "18"),
    ("5 ft 3 in", "5 feet 3 inches"),
    ("12 square units", "12"),
    ("12 sq. ft.", "12"),
    ("7 m/s", "7"),
    ("9.8 m/s²", "9.8"),
    ("3/4 cup", "0.75"),
    ("18 total", "18"),
    ("18 each", "18"),
    ("18 months", "18"),
    ("₹50", "50"),
    ("50 EUR", "50"),
    ("50 rupees", "50"),
    ("27 ✓", "27"),
    ("𝟐𝟕", "27"),
    ("٢٧", "27"),
    ("5 hours per day", "5"),
    ("18 m", "18"),
    ("5 cm³", "5"),
    ("\\frac{3}{4} \\text{ of the cake}", "3/4"),
    ("\\mathbf{27}", "27"),
    ("\\Large\\boxed{27}", "27"),
    ("18 years old", "18"),
    ("3 1/2", "3.5"),
    ("3½", "3.5"),
    ("60 mi/hr", "60"),
    ("27.", "27"),
    ("27!", "27!"),
    ("3.2×10⁵", "320000"),
    ("5 000", "5000"),
    ("21st", "21"),
    ("the 3rd", "3"),
    ("10:05 am", "10:05 a.m."),
    ("\\$18.00 per hour", "18"),
    ("18 people", "18"),
    ("18 $", "18"),
    ("\\text{(C)}~\\text{a rhombus}", "C"),
    ("B: an isosceles triangle", "B"),
    ("\\frac{1}{3} cups", "1/3"),
    ("6 cups of flour", "6"),
    ("\\cfrac{1}{2}", "1/2"),
    ("x_1=2, x_2=3", "2,3"),
    ("½ hour", "1/2"),
    ("12 students in total", "12"),
    ("72°", "72"),
    ("72 \\degree", "72"),
    ("$72^{\\circ}$", "72"),
    ("thirty-one", "31"),
    ("total 31", "31"),
    ("7.5 \\text{ L}", "7.5 liters"),
    ("9 \\text{ square inches}", "9 \\text{ in}^2"),
    ("minus 23", "-23"),
    ("7 squared", "49"),
    ("the square root of 81", "9"),
    ("8 choose 3", "56"),
    ("half a dozen", "6"),
    ("a baker's dozen", "13"),
    ("9 grand", "9000"),
    ("5\u4e07", "50000"),
    ("23,45,678", "2345678"),
    ("2.345.678", "2345678"),
    ("240 V", "240 volts"),
    ("3 kJ", "3 kilojoules"),
    ("US$45", "45"),
    ("35 per cent", "35\\%"),
    ("45 sec", "45 seconds"),
    ("7^{th}", "7"),
    ("`52`", "52"),
    ("infinity", "\\infty"),
    ("(-\\infty,2) \\text{ or } (5,\\infty)", "(-\\infty,2)\\cup(5,\\infty)"),
    ("|x|<6", "(-6,6)"),
    ("a hyperbola", "hyperbola"),
    ("g^{-1}(x)=x-4", "x-4"),
    ("5\\colon 9", "5:9"),
    ("\\boxed{\\frac{5}{\n 9}}", "\\frac{5}{9}"),
    ("31", "Thirty one"),
    ("two hundred and six tickets", "206"),
    ("She sold forty tickets", "40"),
    ("three fifths", "\\frac{3}{5}"),
    ("4 and three quarters", "4.75"),
    ("minus twelve", "-12"),
    ("6.2 x 10^4", "62000"),
    ("3 Millionen", "3000000"),
    ("8 milhões", "8000000"),
    ("5 mL", "5 ml"),
]
DIFFERENT = [
    ("3 eighths", "3"),
    ("4 lakh", "4"),
    ("4 mln", "4"),
    ("4 bn", "4"),
    ("4 quadrillion", "4"),
    ("18 doubled", "18"),
    ("18 halved", "18"),
    ("18 squared", "18"),
    ("18 tripled", "18"),
    ("4 zillion", "4"),
    ("4 k", "4"),
    ("4K", "4"),
    ("4 M", "4"),
    ("4 thou", "4"),
    ("18 thousandths", "18"),
    ("2 fifth", "2"),
    ("18 percentile", "18"),
    ("4 yi", "4"),
    ("5 score", "5"),
    ("4 sextillion dollars", "4"),
    ("4 zorbil", "4"),
    ("18 fold", "18"),
    ("18-fold", "18"),
    ("18 times two", "18"),
    ("18 over 5", "18"),
    ("5 in base nine", "5"),
    ("12th", "1/12"),
    ("(C) a", "A"),
    ("A) B", "A"),
    ("C or D", "C"),
    ("25 °F", "25^\\circ C"),
    ("5 cm", "5 m"),
    ("x \\neq 2", "(-\\infty,1)\\cup(1,\\infty)"),
    ("(2,5)", "p=5,q=2"),
    ("0.\\overline{36}", "0.36"),
    ("0.(36)", "36/100"),
    ("14:30", "2:30 AM"),
    ("2:30 a.m.", "2:30 PM"),
    ("2:30", "14:30"),
    ("18 ❌", "18"),
    ("1 hour 20 minutes", "1 hour 30 minutes"),
    ("\\{5,6\\}", "5"),
    ("18 dozen eggs", "18"),
    ("half of 18", "18"),
    ("3 half-dozens", "3"),
    ("4 crores", "4"),
    ("3 and a half", "3"),
    ("3 thirds", "3"),
    ("18 hundredths", "18"),
    ("18 pi", "18"),
    ("18%", "0.18"),
    ("4 octillion", "4"),
    ("18 twenty-fifths", "18"),
    ("6 sixteenths", "6"),
    ("4 gigadollars", "4"),
    ("18 per thousand", "18"),
    ("18 ppm", "18"),
    ("18‰", "18"),
    ("18 cubed", "18"),
    ("18 less", "18"),
    ("minus 18", "18"),
    ("negative 18", "18"),
    ("18 quadrupled", "18"),
    ("18 factorial", "18"),
    ("x⁴", "x^{3}"),
    ("¾", "3"),
    ("2½", "2"),
    ("x₁", "x_2"),
    ("5 kilos", "5 grams"),
    ("18 gross", "18"),
    ("4 millions of dollars", "4"),
    ("18 reciprocal", "18"),
    ("18 inverse", "18"),
    ("4 trn", "4"),
    ("18 decillion", "18"),
    ("4 myriads", "4"),
    ("18 approx", "17"),
    ("thirty one two", "31"),
    ("circa 31", "31"),
    ("florbed 31", "31"),
    ("exceeds 31", "31"),
    ("just under 31", "31"),
    ("it might be 31", "31"),
    ("31 at best", "31"),
    ("6 mm", "6 Mm"),
    ("$31", "\u20ac31"),
    ("\u00a331", "$31"),
    ("31 cents", "$31"),
    ("\\{\\emptyset\\}", "\\emptyset"),
    ("thirty or forty", "30"),
    ("about thirty", "30"),
    ("31 times two", "31"),
    ("3 Millionen", "3"),
    ("8 milhões", "8"),
    ("5 MPa", "5 mPa"),
    ("2 MW", "2 mW"),
    ("\\begin{cases} x & x>0 \\\\ -x & x \\le 0\\end{cases}", "\\begin{cases} x & x<0 \\\\ -x & x \\ge 0\\end{cases}"),
]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as made:
        yield made


@pytest.mark.parametrize(("answer", "gold"), EQUAL)
def test_one_answer_in_two_spellings(grader: Grader, answer: str, gold: str):
    assert grader.grade(answer, gold) is Verdict.CORRECT


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_two_answers_that_look_alike(grader: Grader, answer: str, gold: str):
    assert grader.grade(answer, gold) is not Verdict.CORRECT


LATIN = ["m", "b", "tr", "quadr", "quint", "sext", "sept", "oct", "non", "dec", "undec", "vigint"]
ORDINAL_STEMS = [
    "four",
    "fif",
    "six",
    "seven",
    "eigh",
    "nin",
    "ten",
    "eleven",
    "twelf",
    "thirteen",
    "twentie",
    "fiftie",
]


@given(st.sampled_from(LATIN), st.sampled_from(["illion", "illions", "illiard", "illiards"]), st.integers(2, 99))
def test_no_word_for_a_power_of_ten_is_a_unit(stem: str, ending: str, number: int):
    assert changes_number(stem + ending)
    assert measure(f"{number} {stem}{ending}").scale == (scale(stem + ending) or 1)
    assert measure(f"{number} {stem}{ending}").unit == ""


@given(st.sampled_from(ORDINAL_STEMS), st.integers(2, 99))
def test_no_part_of_a_whole_is_a_unit(grader: Grader, stem: str, number: int):
    assert grader.grade(f"{number} {stem}ths", str(number)) is not Verdict.CORRECT
    assert grader.grade(f"{number} {stem}th notes", str(number)) is Verdict.CORRECT  # which notes they are


@given(st.text("bcdfgjklmnpqrtvwxz", min_size=2, max_size=6), st.integers(2, 99))
def test_an_unknown_abbreviation_is_never_correct(grader: Grader, word: str, number: int):
    measured = measure(f"{number} {word}")
    if measured.unit and measured.is_known:
        return  # cm, kg, bpm: a unit
    assert grader.grade(f"{number} {word}", str(number)) is not Verdict.CORRECT


@given(
    st.integers(-999, 999),
    st.sampled_from(["\u2212", "\u2010", "\uff0d", "\u2011", "\ufe63"]),
    st.sampled_from(["\u200b", "\u200e", "\ufeff", ""]),
)
def test_digits_and_signs_of_any_script_are_the_same_number(grader: Grader, number: int, minus: str, mark: str):
    wide = "".join(chr(ord(digit) - 48 + 0xFF10) for digit in str(abs(number)))
    text = mark + (minus if number < 0 else "") + wide + mark
    assert grader.grade(text, str(number)) is Verdict.CORRECT


@given(st.text())
def test_plain_characters_are_a_fixed_point(text: str):
    once = plain_characters(text)
    assert plain_characters(once) == once


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 998))
def test_recurring_decimals_are_exact(grader: Grader, whole: int, fixed: int, period: int):
    value = f"{whole * 100 * 999 + fixed * 999 + period}/{100 * 999}"
    assert grader.grade(rf"{whole}.{fixed:02}\overline{{{period:03}}}", value) is Verdict.CORRECT
    assert grader.grade(f"{whole}.{fixed:02}({period:03})", value) is Verdict.CORRECT
    assert period == 0 or grader.grade(f"{whole}.{fixed:02}{period:03}", value) is not Verdict.CORRECT
