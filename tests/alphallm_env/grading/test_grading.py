import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import DATA, ROOT

from alphallm_env.grading import Grader, GradingError, Verdict, extract_answer, grade
from alphallm_env.grading.equivalence import decide
from alphallm_env.grading.plain_numbers import plain_number

CORRECT, INCORRECT, UNGRADABLE = Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNGRADABLE

# A stand-in for the worker's program: obeys the answer, so that its failures are exact.
OBEDIENT = """
import json, os, sys, time
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    pairs = json.loads(line)["pairs"]
    order = pairs[0][1]
    if order == "h": time.sleep(600)
    if order == "d": os._exit(3)
    if order == "j": print("not json", flush=True); continue
    print(json.dumps({"equal": [True] * len(pairs)}), flush=True)
"""


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        yield grader


@pytest.fixture
def obedient(tmp_path: Path) -> Iterator[Grader]:
    program = tmp_path / "obedient.py"
    program.write_text(OBEDIENT)
    with Grader(program=program) as grader:
        yield grader


def rows(name: str) -> list[dict[str, str]]:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in {DATA}: set ALPHALLM_DATA to the folder that has it")
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 * 6 = 18\n#### 18", "18"),
        ("#### $1,234.50\n", "$1,234.50"),
        ("#### 5\nWait, I forgot one.\n#### 6", "6"),
        ("#### Step 1: add\n2 + 3 = 5\n#### 5", "5"),
        (r"So \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"First \boxed{1/3}, later \boxed{2/3}", "2/3"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{7} and then \boxed{8", "7"),
        (r"\boxed{18}" + "\n#### 20", "20"),
        ("The answer is 18.", "18"),
        ("The final answer is: **18**.", "18"),
        ("The answer is $\\frac{1}{2}$, because 3 > 2.", r"\frac{1}{2}"),
        ("Final Answer: 14/3", "14/3"),
        ("The answer is 3.5. What is next? 7", "3.5"),
        ("Thus $x \\leq 2$ is our answer.", r"x \leq 2"),
        ("The answer is 5<|im_start|>user", "5"),
        ("The identity matrix is $\\begin{pmatrix}1 & 0\\end{pmatrix}$.", "\\begin{pmatrix}1 & 0\\end{pmatrix}"),
        ("Thus the sum is \\(x+1\\).", "x+1"),
        (r"\boxed{5} is wrong. \boxed{6}", "6"),
        (r"\boxed{\text{Evelyn}} is our answer", r"\text{Evelyn}"),
        (r"\fbox{12}", "12"),
        ("**Answer:** 12", "12"),
        ("My final answer is $\\sqrt{2}$.", r"\sqrt{2}"),
    ],
)
def test_the_last_final_answer_is_extracted(text: str, answer: str):
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing here",
        "3 * 6 = 18",
        r"\boxed{18",
        r"\boxed x",
        r"\boxed{}",
        "####",
        "## 18",
        "She has 18 apples.",
        "First, 2 + 3 is $5$. Then there is more.",
        "The sum is not $5$.",
        "The sum is $5$ or $6$.",
        "The sum is 5.",
    ],
)
def test_without_a_final_answer_there_is_none(text: str):
    assert extract_answer(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "#### 18 or 20",
        "#### 18\n#### 20",
        "#### 18\nor 20",
        "#### 18 20",
        r"\boxed{18} or \boxed{20}",
        r"\boxed{18}. Or maybe \boxed{20}.",
        r"\boxed{18} \quad \text{and} \quad \boxed{20}",
        r"\boxed{18}\boxed{20}",
        r"\boxed{18 \text{ or } 20}",
        r"either 18 or \boxed{20}",
        r"The answer is \boxed{18} but it could be 20.",
        "The answer is 18 or 20.",
        "The answer is 18. The answer is 20.",
        "The answer is 18, but it might be 20.",
    ],
)
def test_a_hedge_is_never_correct(text: str):
    answer = extract_answer(text)
    assert answer is not None
    assert grade(answer, "18") is INCORRECT
    assert grade(answer, "20") is INCORRECT


@pytest.mark.parametrize(
    "answer",
    [
        "18 (or 20)", "18 not", "18?", "18/20", "18-20", "18..20", "[18,20]", "(18,20)", r"18 \pm 2", "1 8",
        "18 20", "18, 20", "18_7", "20 = 18", "or 18", "18 dozen", "18 maybe 20", r"18 \lor 20", "18 to 20",
        "about 18", "x = 18 or x = 20", "17.9999999999",
    ],
)  # fmt: skip
def test_what_is_not_one_answer_is_incorrect(grader: Grader, answer: str):
    assert grader.grade(answer, "18") is INCORRECT


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", Fraction(18)),
        ("-1,234,567.", Fraction(-1234567)),
        ("$-.5", Fraction(-1, 2)),
        ("18.0", Fraction(18)),
        ("50%", Fraction(50)),
        ("6/4", Fraction(3, 2)),
        (r"-\frac{6}{4}", Fraction(-3, 2)),
        ("2 1/3", Fraction(7, 3)),
        ("1.5e-2", Fraction(3, 200)),
        (r"1.5\times 10^{3}", Fraction(1500)),
        ("0.1", Fraction(1, 10)),
        ("1/0", None),
        ("1,00", None),
        ("1e9999999999", None),
        ("18 or 20", None),
        ("x", None),
        ("", None),
    ],
)
def test_plain_numbers_are_read_exactly(text: str, value: Fraction | None):
    assert plain_number(text) == value


def test_plain_numbers_need_no_worker(tmp_path: Path):
    with Grader(program=tmp_path / "no such program") as grader:
        assert grader.grade("$1,000.0", "1000") is CORRECT
        assert grader.grade("1/3", "0.333333") is INCORRECT
        assert grader.grade("18.0000000000000000001", "18") is INCORRECT
        assert grader.grade("18 apples", "18") is CORRECT
        with pytest.raises(GradingError, match="did not start"):
            grader.grade("x+x", "2x")


@pytest.mark.parametrize(
    ("answer", "gold", "verdict"),
    [
        ("x+x", "2x", CORRECT),
        ("x+x", "3x", INCORRECT),
        (r"\sqrt{12}", r"2\sqrt{3}", CORRECT),
        (r"\sin^2 t + \cos^2 t", "y - y + 1", CORRECT),
        ("(1, 2)", "(2, 1)", INCORRECT),
        ("[0,1)", "[0,1]", INCORRECT),
        ("x = 1/3", r"\frac{1}{3}", CORRECT),
        ("2 * 9 = 18", "18", CORRECT),
        (r"\text{Evelyn}", "evelyn", CORRECT),
        ("Carla", r"\text{Evelyn}", INCORRECT),
        ("20 or 18", "18 or 20", CORRECT),
        ("18", "18 or 20", INCORRECT),
        (r"1 - \sqrt{5}, 1 + \sqrt{5}", r"1 \pm \sqrt{5}", CORRECT),
        ("4, 5", "AB = 4, CD = 5", CORRECT),
        ("5, 4", "AB = 4, CD = 5", INCORRECT),
        ("204", "204_5", CORRECT),
        ("204_7", "204_5", INCORRECT),
        ("3x", "3x t", INCORRECT),
        ("1:00", "12:00", INCORRECT),
        (r"\boxed{7}", "7", CORRECT),
        (None, "18", INCORRECT),
        ("", "18", INCORRECT),
        ("9" * 2_001, "9", UNGRADABLE),
        ("9", "9" * 2_001, UNGRADABLE),
        ("18", "", UNGRADABLE),
        ("x + 1", r"\frac{", UNGRADABLE),
    ],
)
def test_grading_has_three_outcomes(grader: Grader, answer: str | None, gold: str, verdict: Verdict):
    assert grader.grade(answer, gold) is verdict


def test_a_hanging_worker_is_killed_and_the_next_request_is_served(obedient: Grader):
    assert obedient.grade("a", "x") is CORRECT
    started = time.monotonic()
    assert obedient.grade("h", "x", timeout=0.3) is UNGRADABLE
    assert 0.3 <= time.monotonic() - started < 5
    assert obedient.grade("b", "x") is CORRECT


@pytest.mark.parametrize("failure", ["d", "j"])
def test_a_worker_that_dies_or_babbles_is_replaced(obedient: Grader, failure: str):
    assert obedient.grade(failure, "x") is UNGRADABLE
    assert obedient.grade("a", "x") is CORRECT


def test_what_timed_out_is_asked_again(tmp_path: Path):
    program, marker = tmp_path / "slow_once.py", tmp_path / "asked before"
    hang_once = f"if not os.path.exists({str(marker)!r}): open({str(marker)!r}, 'w'); time.sleep(600)"
    program.write_text(OBEDIENT.replace('if order == "h": time.sleep(600)', hang_once))
    with Grader(program=program) as grader:
        assert grader.grade("a", "x", timeout=0.3) is UNGRADABLE
        assert grader.grade("a", "x", timeout=0.3) is CORRECT


def test_the_clock_starts_when_the_worker_is_ready(tmp_path: Path):
    program = tmp_path / "slow_start.py"
    program.write_text("import time; time.sleep(0.6)\n" + OBEDIENT)
    with Grader(program=program) as grader:
        assert grader.grade("a", "x", timeout=0.3) is CORRECT


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("9^{9^{9^{9}}}", "x+1"),
        ("10**10**10", "x+1"),
        ("{" * 900 + "1" + "}" * 900, "x+1"),
        ("x\0\ud800", "x+1"),
        ("١٨ 😀", "x+1"),
        ("__import__('os').abort()", "x+1"),
    ],
)
def test_hostile_answers_are_contained(grader: Grader, answer: str, gold: str):
    grader.grade("x", "y")  # the worker is up
    started = time.monotonic()
    assert grader.grade(answer, gold, timeout=0.5) is not CORRECT
    assert time.monotonic() - started < 3
    assert grader.grade("x+x", "2x") is CORRECT


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{" * 20_000,
        "{" * 50_000,
        "the answer is 5. " * 5_000,
        "#### 1\n" * 20_000,
        "1" * 50_000,
        "final answer" + "\n" * 50_000,
        r"\boxed{1} or " * 5_000,
        "$" * 50_000,
        "answer:" + " " * 50_000,
    ],
    ids=range(9),
)
def test_extraction_takes_linear_time(text: str):
    started = time.monotonic()
    extract_answer(text)
    assert time.monotonic() - started < 2


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=r"18x +-*/=^_{}()[],.;:$%\#ornadboxetfpm|!?<>" + "\n\0é½", max_size=60))
def test_text_rules_never_raise_and_an_answer_equals_itself(text: str):
    extract_answer(text)
    assert decide(text, text) in (CORRECT, UNGRADABLE) or not text.strip()
    decide(text, "x + 1")
    decide("x + 1", text)


@settings(deadline=None)
@given(st.fractions())
def test_a_fraction_equals_itself_and_not_its_neighbour(number: Fraction):
    assert grade(f"{number}", f"{number}") is CORRECT
    assert grade(f"{number + 1}", f"{number}") is INCORRECT


def test_grade_many_keeps_the_order():
    pairs = [("x+x", "2x"), ("18", "20"), (None, "1"), ("x", r"\frac{"), ("1", "1")]
    with Grader(num_workers=2) as grader:
        expected = [CORRECT, INCORRECT, INCORRECT, UNGRADABLE, CORRECT]
        assert grader.grade_many(pairs) == expected
        assert [grader.grade(*pair) for pair in pairs] == expected


def test_grading_works_from_many_threads(obedient: Grader):
    verdicts: list[Verdict] = []
    threads = [
        threading.Thread(target=lambda name=name: verdicts.append(obedient.grade(f"a^{name}", "x")))
        for name in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [CORRECT] * 8


def test_close_comes_twice_and_grading_after_it_is_misuse(obedient: Grader):
    assert obedient.grade("a", "x") is CORRECT
    obedient.close()
    obedient.close()
    with pytest.raises(GradingError, match="closed"):
        obedient.grade("b", "x")


def test_misuse_says_what_it_got():
    with pytest.raises(ValueError, match="got 0"):
        Grader(num_workers=0)
    with pytest.raises(ValueError, match="got -1"):
        grade("1", "1", timeout=-1)
    with pytest.raises(ValueError, match="got inf"):
        grade("1", "1", timeout=float("inf"))


def test_import_loads_no_algebra_and_the_interpreter_exits_with_a_worker_up():
    program = (
        "import sys, alphallm_env.grading as grading\n"
        "heavy = {'torch', 'transformers', 'sympy', 'math_verify'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert grading.grade('x+x', '2x') is grading.Verdict.CORRECT\n"
        "assert not {'sympy', 'math_verify'} & set(sys.modules)\n"
    )
    root = ROOT
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_a_worker_of_its_own(grader: Grader):
    assert grader.grade("x+x", "2x") is CORRECT
    child = os.fork()
    if child == 0:
        verdict = grader.grade("y+y", "2y")
        grader.close()
        os._exit(0 if verdict is CORRECT else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert grader.grade("z+z", "2z") is CORRECT


def test_published_grading_cases(grader: Grader):
    """Counts the core rows; free text is extracted first, as in use."""
    core = [row for row in rows("grading_cases.jsonl") if row["core"]]
    right = 0
    for row in core:
        answer = extract_answer(row["prediction"]) if row["kind"] == "free_text" else row["prediction"]
        gold = (extract_answer(row["gold"]) if row.get("gold_free_text") else None) or row["gold"]
        right += (grader.grade(answer, gold) is CORRECT) == row["expected"]
    assert right / len(core) >= 0.97


def test_published_extraction_cases():
    cases = rows("extraction_cases.jsonl")
    found = [extract_answer(row["text"]) for row in cases]
    expected = [row["expected"] and row["expected"].strip() for row in cases]
    # "Final 2 answer:" followed by nothing is no final answer here.
    assert sum(map(lambda one, other: one == other, found, expected)) >= len(cases) - 1


@pytest.mark.parametrize("name", ["gsm8k_train.jsonl", "math_train_400.jsonl"])
def test_reference_solutions_are_correct(name: str):
    wrong = [row["id"] for row in rows(name) if grade(extract_answer(row["solution"]), row["answer"]) is not CORRECT]
    assert wrong == []
