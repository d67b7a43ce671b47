"""Hostile answers: whatever a model writes, grading ends within its time, and the next request is served."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alphallm_env.grading import Grader, Verdict, extract_answer
from alphallm_env.grading.equivalence import decide

TIMEOUT = 0.5
LONG = {
    "nines": "9" * 3_000_000,
    "braces": "{" * 1_000_000,
    "balanced braces": "{" * 500_000 + "}" * 500_000,
    "brackets": "(" * 1_000_000,
    "NULs": "\0" * 1_000_000,
    "spaces": " " * 1_000_000 + "5",
    "backslashes": "\\" * 1_000_000,
    "boxes": r"\boxed{" * 200_000 + "5" + "}" * 200_000,
    "fractions": r"\frac{1}{" * 100_000 + "1" + "}" * 100_000,
    "words": "or " * 400_000,
    "hashes": "#### 5\n" * 200_000,
    "dollars": "$5" * 500_000,
    "answers": "the answer is 5. " * 100_000,
    "emoji": "😀" * 1_000_000,
    "surrogates": "\ud800" * 100_000,
}
SHORT = [
    "9^{9^{9^{9}}}", "10**10**10", r"10^{10^{10^{10}}}", "9^{99999999}", r"2^{2^{2^{2^{2^{2}}}}}", "99999999!",
    "((9!)!)!", r"\binom{10^9}{10^8}", r"\sum_{k=1}^{10^{12}} k", r"\prod_{k=1}^{99999999} k",
    r"\sum_{k=1}^{\infty} \sin(k^{k^k})", r"\int_0^\infty \sin(x^{x^x}) dx", r"\int e^{\sin(e^{\cos x})} dx",
    r"\lim_{x \to 0} \frac{\sin(\tan x)-\tan(\sin x)}{x^{77}}", "x^{999999}+1", "(x+1)^{99999}", "(x+y+z)^{9999}",
    "+".join(f"x^{{{n}}}" for n in range(180)), r"\sqrt{" * 50 + "x" + "}" * 50, r"\sqrt{" * 200 + "x" + "}" * 200,
    "{" * 900 + "1" + "}" * 900, "(" * 900 + "1" + ")" * 900, "[" * 50 + "1" + "]" * 50,
    r"\frac{1}{" * 55 + "x" + "}" * 55, r"\left(" * 60 + "x" + r"\right)" * 60, "-" * 1_500 + "x", "x" * 1_900,
    "x^" * 500 + "x", "+".join("x" * 400), r"\sin " * 300 + "x", "|" * 500, "|x" * 200, "x_" * 400, "!" * 900,
    "x" + "!" * 500, "'" * 1_000, r"\begin{pmatrix}" + " & ".join("1" * 300) + r"\end{pmatrix}",
    r"\begin{pmatrix}" * 50 + "1" + r"\end{pmatrix}" * 50, r"\begin{pmatrix}1 & 2\\3 & 4\end{pmatrix}^{9999}",
    r"\begin{pmatrix}1 & 2\\3 & 4\end{pmatrix}^{x^{x}}", ",".join("x" * 600),
    r"\{" + ",".join(map(str, range(500))) + r"\}", ",".join(f"x+{n}" for n in range(200)), r"\pm " * 100 + "1",
    "1 \\pm " * 9 + "x", r"\cup ".join(["(1,2)"] * 200), "x=" * 200 + "1", "<".join("x" * 300), "x\0+1", "\0",
    "x\ud800", "\ufeffx+1", "x\u202e+1", "x\u200b + 2", "\uff58\uff0b\uff12", "\u0445+1", "\U0001d465+2", "١٨ 😀",
    "x̸+1", "\r\n\r\n", "\x1b[2Jx", "__import__('os').abort()", "().__class__.__base__.__subclasses__()", "exec('1')",
    "lambda: 0", "open('/etc/passwd').read()", "os.system('true')", "import os", "x.__class__",
    r"\input{/etc/passwd}", r"\write18{true}", r"\def\x{\x\x}\x", r"\csname x\endcsname", "'; DROP TABLE x; --",
    "<script>x</script>", "{{7*7}}", "${7*7}", "%s%s%s%n", "../../../etc/passwd", "A" * 1_999, "nan", "inf", "NaN",
    r"\infty-\infty", r"\frac{0}{0}", "0/0", r"\frac{1}{0}", r"\log 0", r"0^{0^{0}}", "1e999999999", "1e-999999999",
    "-", "+", "=", "\\", "\\\\", "{", "}", "^", "_", "&", "$", "#", r"\frac", r"\frac{", r"\boxed", r"\boxed{",
    r"\boxed{}", r"\begin{pmatrix}", r"\text{" * 100, r"\frac{\frac{" * 30, r"\sqrt[" * 100, "True", "None", "or",
    "and", "or or or", "?" * 100,
]  # fmt: skip


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        grader.grade("x+x", "2x")  # the worker is up
        yield grader


@pytest.mark.parametrize("name", LONG)
def test_megabytes_are_ungradable_at_once(grader: Grader, name: str):
    started = time.monotonic()
    extract_answer(LONG[name])
    assert grader.grade(LONG[name], "5") is Verdict.UNGRADABLE
    assert grader.grade("5", LONG[name]) is Verdict.UNGRADABLE
    assert grader.grade(LONG[name], LONG[name]) is Verdict.UNGRADABLE
    assert time.monotonic() - started < 5


def test_hostile_answers_are_contained_and_the_next_request_is_served(grader: Grader):
    for number, answer in enumerate(SHORT):
        started = time.monotonic()
        verdict = grader.grade(answer, "z + 1", timeout=TIMEOUT)
        took = time.monotonic() - started
        assert verdict is not Verdict.CORRECT, answer
        assert took < TIMEOUT + 4, (answer, took)
        assert grader.grade(f"y+{number}", f"{number}+y", timeout=60) is Verdict.CORRECT, answer


def test_hostile_gold_answers_are_contained(grader: Grader):
    for gold in SHORT[:20]:
        assert grader.grade("z + 1", gold, timeout=TIMEOUT) is not Verdict.CORRECT, gold
    assert grader.grade("x+x", "2x", timeout=60) is Verdict.CORRECT


PIECES = [
    "1", "18", ",", ".", " ", "x", "+", "-", "/", "^", "_", "{", "}", "(", ")", "[", "]", "\\", r"\frac", r"\sqrt",
    r"\pm ", r"\text{", r"\boxed{", "=", "<", r"\leq ", " or ", " and ", r"\cup ", "%", "$", r"\begin{pmatrix}",
    r"\end{pmatrix}", "&", r"\\", "#### ", "\n", " cm", ":", "'", "answer is ", "\0", "é", "!", "|",
]  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_text_rules_never_raise(text: str):
    extract_answer(text)
    decide(text, "x + 1")
    decide("x + 1", text)


@pytest.mark.parametrize("piece", PIECES)
def test_text_rules_take_linear_time(piece: str):
    text = piece * 1_000
    started = time.process_time()
    decide(text[:2_000], "x + 1")
    decide("x + 1", text[:2_000])
    extract_answer(text * 50)
    assert time.process_time() - started < 3
