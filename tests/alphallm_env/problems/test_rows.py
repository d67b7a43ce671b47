r"""Rows as data sets have them: boxes without braces, golds that are none, sentences, text that is no text."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.errors import ProblemError
from alphallm_env.problems import load_problems
from alphallm_env.problems.jsonl import read_jsonl
from alphallm_env.problems.rows import problem_from_row
from alphallm_env.types import Problem


def gold(**columns: object) -> str | None:
    return problem_from_row({"question": "How many?", **columns}, "id", "here").answer


class Rows(list[dict[str, object]]):
    pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Stands in for a data set of the hub, which a test fills."""
    rows = Rows()
    module = SimpleNamespace(load_dataset=lambda path, configuration, split: rows, Dataset=Rows)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return rows


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"The least is $\boxed 7$.", "7"),
        (r"So it is \boxed 4.", "4"),
        (r"\fbox 9", "9"),
        (r"\boxed\frac34", r"\frac34"),
        (r"Hence $\boxed{\frac{3}{4}}$.", r"\frac{3}{4}"),
    ],
)
def test_boxes_are_read_with_and_without_braces(solution: str, answer: str):
    assert gold(solution=solution) == answer


@pytest.mark.parametrize(
    "solution", [r"So \boxed{31 and the rest is cut", r"\boxed{}", "Nothing is boxed.", r"\boxed{ }"]
)
def test_a_solution_without_a_box_that_holds_something_is_refused(solution: str):
    with pytest.raises(ProblemError, match=r"final answer under 'answer' or in a .boxed of 'solution'"):
        gold(solution=solution)


def test_rows_of_the_hub_that_are_no_problems_are_left_out_and_counted(hub: Rows, caplog: pytest.LogCaptureFixture):
    hub += [
        {"problem": "One?", "solution": r"\boxed 1"},
        {"problem": "Two?", "solution": r"\boxed{2"},
        {"problem": "Three?", "answer": math.nan},
        {"problem": "Four?", "answer": "4", "unique_id": "a", "more": [1]},
        {"problem": "Five?", "answer": "5", "unique_id": "a"},
        {"problem": "Six \udc80?", "answer": "6"},
        {"solution": r"\boxed{7}"},
    ]
    with caplog.at_level(logging.WARNING):
        problems = load_problems("some/set", "train")
    assert [(p.id, p.answer) for p in problems] == [("some/set/train/0", "1"), ("a", "4")]
    assert "some/set: 5 of 7 rows left out, the first some/set/train, row 1: expected a final answer" in caplog.text


def test_a_set_without_any_problem_is_refused(hub: Rows):
    hub += [{"problem": "One?", "solution": "1"}, {"problem": "Two?", "solution": "2"}]
    with pytest.raises(ProblemError, match="some/set: 2 of 2 rows left out, the first some/set/test, row 0: expected"):
        load_problems("some/set")


@pytest.mark.parametrize("missing", [None, math.nan, "", " ", "NaN"])
def test_a_missing_gold_is_what_the_solution_states_or_none(missing: object):
    assert gold(answer=missing, solution=r"\boxed{12}") == "12"
    with pytest.raises(ProblemError, match=re.escape(f"got the columns 'question', 'answer' ({missing!r})")):
        gold(answer=missing)


@pytest.mark.parametrize(
    ("value", "said"),
    [(math.inf, "float: inf"), (-math.inf, "float: -inf"), (True, "bool: True"), ([5], r"list: \[5\]")],
)
def test_a_gold_that_is_no_answer_is_refused(value: object, said: str):
    with pytest.raises(ProblemError, match=f"expected text under 'answer', got {said}"):
        gold(answer=value)


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (7.0, "7"), (-0.25, "-0.25"), (10**20, str(10**20)), (0, "0")])
def test_a_number_is_its_digits(value: float, text: str):
    assert gold(answer=value) == text


def test_a_column_that_is_missing_makes_way_for_its_other_name():
    row = {"question": math.nan, "problem": "Why?", "answer": 3, "id": math.nan}
    assert problem_from_row(row, "default", "here") == Problem("default", "Why?", "3", None, "here")


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("The answer is 44.", "44"),
        ("Therefore, the final answer is $\\frac{2}{9}$.", r"\frac{2}{9}"),
        ("He walks 4 miles and then 5.\nThe answer is 9 miles.", "9 miles"),
        ("Answer: 31", "31"),
        ("Maria baked 53 cookies altogether.", "53"),
        ("4 + 5 = 9\n#### 9", "9"),
        (r"It must be \boxed{x^2}.", "x^2"),
    ],
)
def test_a_gold_sentence_is_reduced_to_its_answer(sentence: str, answer: str):
    assert gold(answer=sentence) == answer


@pytest.mark.parametrize(
    "sentence",
    [
        "First he sold 3 of them, and then he sold 8 more.",
        "We do not know it yet.",
        "Count the apples that are in the box and add the pears",
        "Take the sum.\nThen halve it.",
    ],
)
def test_a_gold_sentence_that_states_nothing_is_refused(sentence: str):
    with pytest.raises(ProblemError, match="got a sentence that states none"):
        gold(answer=sentence)


@pytest.mark.parametrize(
    "answer",
    ["18", "no solution", "Wednesday", "a rhombus", "12 and 13", "x = 5 or x = -5", r"\frac12", "A", "$7",
     "(C) a square that is red", r"\text{all the real numbers but zero}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
     "3 hours and 20 minutes"],
)  # fmt: skip
def test_a_gold_that_is_an_answer_stays_as_it_is(answer: str):
    assert gold(answer=answer) == answer


@pytest.mark.parametrize("column", ["question", "answer", "solution", "id"])
@pytest.mark.parametrize(
    ("sign", "said"),
    [("\ud83d", "a lone surrogate, U+D83D"), ("\udfff", "a lone surrogate"), ("\x00", "a control character, U+0000"),
     ("\x0c", "a control character, U+000C"), ("\x1b", "a control character"), ("\x85", "a control character")],
)  # fmt: skip
def test_what_is_no_text_is_refused_wherever_it_stands(column: str, sign: str, said: str, tmp_path: Path):
    row = {"question": "How many?", "answer": "5 m", "solution": "5 it is", "id": "one"}
    row[column] = row[column][:2] + sign + row[column][2:]
    file = tmp_path / "some.jsonl"
    file.write_text('{"question": "Q", "answer": "5"}\n' + json.dumps(row))
    with pytest.raises(ProblemError, match=f"some.jsonl, line 2: expected text as {column}, got {re.escape(said)}"):
        read_jsonl(file)


def test_a_problem_set_of_your_own_is_checked_too(monkeypatch: pytest.MonkeyPatch):
    module = SimpleNamespace(broken=lambda split, limit, seed: [Problem("a", "Q", "5"), Problem("b", "Q\udead", "5")])
    monkeypatch.setitem(sys.modules, "my_broken", module)
    with pytest.raises(ProblemError, match="my_broken:broken, problem 1: expected text as question"):
        load_problems("my_broken:broken")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text.strip()))
def test_any_other_text_is_a_question(question: str):
    if question.strip().lower() == "nan":
        return
    assert problem_from_row({"question": question, "answer": "1"}, "id", "here").question == question.strip()


def test_marks_and_line_ends_of_other_systems_are_no_part_of_a_row(tmp_path: Path):
    file = tmp_path / "windows.jsonl"
    lines = [
        '\ufeff{"question": "One?", "answer": "1"}',
        "",
        '\ufeff{"question": "Two?", "answer": "2", "extra": {}}',
        "\ufeff",
    ]
    file.write_bytes("\r\n".join(lines).encode())
    assert [(problem.question, problem.answer) for problem in read_jsonl(file)] == [("One?", "1"), ("Two?", "2")]
