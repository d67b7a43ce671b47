import json
import re
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import DATA

from alphallm_env.errors import OverlapError, ProblemError
from alphallm_env.grading import Verdict, grade
from alphallm_env.problems import PROBLEM_SETS, check_overlap, gsm_symbolic, load_problems, normalise_question
from alphallm_env.problems.jsonl import read_jsonl
from alphallm_env.problems.rows import problem_from_row
from alphallm_env.types import Problem

NUMBER = re.compile(r"\d+(?:[.,/]\d+)*")


def reference(name: str) -> Path:
    if not (DATA / name).is_file():
        pytest.skip(f"no {name} in {DATA}; set ALPHALLM_DATA to the folder that has it")
    return DATA / name


def template_and_numbers(problem: Problem) -> tuple[str, tuple[str, ...]]:
    return problem.source.rpartition(" ")[2], tuple(NUMBER.findall(problem.question))


# gsm_symbolic


@pytest.mark.parametrize("level", gsm_symbolic.LEVELS)
def test_splits_share_no_template_with_the_same_numbers(level):
    keys = {
        split: {template_and_numbers(p) for p in islice(gsm_symbolic.stream(split, 0, level), 300)}
        for split in gsm_symbolic.SPLITS
    }
    for split, others in keys.items():
        assert len(others) > 50
        for other in set(keys) - {split}:
            assert not keys[split] & keys[other]


@pytest.mark.parametrize("level", gsm_symbolic.LEVELS)
def test_unseen_templates_are_in_no_other_split(level):
    templates = {
        split: {template_and_numbers(p)[0] for p in islice(gsm_symbolic.stream(split, 1, level), 300)}
        for split in gsm_symbolic.SPLITS
    }
    unseen = templates.pop("unseen_templates")
    assert unseen == {str(template) for template in gsm_symbolic.LEVELS[level].unseen}
    assert not unseen & set().union(*templates.values())


@pytest.mark.parametrize("level", gsm_symbolic.LEVELS)
@pytest.mark.parametrize("split", gsm_symbolic.SPLITS)
def test_one_seed_gives_one_list_of_different_questions_whose_prefixes_agree(level, split):
    problems = gsm_symbolic.problems(split, 40, seed=2, level=level)
    assert problems == gsm_symbolic.problems(split, 40, seed=2, level=level)
    assert problems[:10] == gsm_symbolic.problems(split, 10, seed=2, level=level)
    assert problems != gsm_symbolic.problems(split, 40, seed=3, level=level)
    assert len({p.question for p in problems}) == len({p.id for p in problems}) == 40


def test_solutions_end_in_the_answer():
    for problem in islice(gsm_symbolic.stream("train", 0, "easy"), 300):
        assert problem.solution.rpartition("\n")[2] == f"#### {problem.answer}"
    for problem in islice(gsm_symbolic.stream("train", 0, "full"), 300):  # some write 20.0 for 20
        stated = problem.solution.rpartition("#### ")[2]
        assert grade(stated, problem.answer) is Verdict.CORRECT, problem


def test_easy_problems_have_small_whole_numbers():
    for problem in islice(gsm_symbolic.stream("test", 0, "easy"), 100):
        numbers = [n for number in NUMBER.findall(problem.question + problem.solution) for n in number.split("/")]
        assert all(number.isdigit() and int(number) <= 100 for number in numbers), problem


def test_unknown_splits_and_levels_are_named():
    with pytest.raises(ProblemError, match=r"split must be one of .*, got 'exam'"):
        next(gsm_symbolic.stream("exam", 0))
    with pytest.raises(ProblemError, match=r"level must be one of .*, got 'hard'"):
        next(gsm_symbolic.stream("test", 0, "hard"))


# JSONL


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_file_gives_its_problems_in_order(tmp_path):
    path = written(
        tmp_path,
        '\ufeff{"question": "How much is 2 + 3?", "answer": 5, "id": "first", "solution": "2 + 3 = 5"}',
        "",
        '{"question": "6 × 7?\\u2028", "answer": "42", "subject": "ignored"}',
    )
    assert load_problems(str(path), "any split") == [
        Problem("first", "How much is 2 + 3?", "5", "2 + 3 = 5", "some.jsonl"),
        Problem("some/3", "6 × 7?", "42", None, "some.jsonl"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'question': 'Q'}", "line 2: expected a JSON object, got \"{'question': 'Q'}\""),
        ('["Q", 5]', "line 2: expected a JSON object, got list"),
        ('{"answer": "5"}', "line 2: expected text under 'question' or 'problem', got the columns 'answer'"),
        ('{"question": " ", "answer": "5"}', "line 2: expected text under 'question'"),
        ('{"question": ["Q"], "answer": "5"}', "line 2: expected text under 'question', got list: ['Q']"),
        ('{"question": "Q", "answer": true}', "line 2: expected text under 'answer', got bool: True"),
        ('{"question": "Q"}', "line 2: expected a final answer under 'answer'"),
        ('{"question": "Q", "answer": ""}', "line 2: expected a final answer under 'answer'"),
        (
            '{"question": "Q", "answer": "5", "id": "first"}',
            "line 2: expected a new id, got 'first' of line 1",
        ),
    ],
)
def test_a_line_that_is_no_problem_is_named_with_its_file(tmp_path, line, message):
    path = written(tmp_path, '{"question": "Q", "answer": "5", "id": "first"}', line)
    with pytest.raises(ProblemError, match=re.escape(f"{path}, {message}")):
        read_jsonl(path)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ProblemError, match=r"missing\.jsonl: expected a readable file: No such file"):
        load_problems(str(tmp_path / "missing.jsonl"))
    with pytest.raises(ProblemError, match=r"some\.jsonl: expected at least one problem"):
        read_jsonl(written(tmp_path, " ", ""))
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe9"}')
    with pytest.raises(ProblemError, match=r"latin\.jsonl: expected UTF-8"):
        read_jsonl(tmp_path / "latin.jsonl")


def test_a_limit_keeps_a_sample_in_order_the_same_for_one_seed(tmp_path):
    path = written(tmp_path, *(json.dumps({"question": f"Q{n}", "answer": n, "id": str(n)}) for n in range(100)))
    ids = [int(problem.id) for problem in load_problems(str(path), limit=10, seed=4)]
    assert len(ids) == 10
    assert ids == sorted(ids) != list(range(10))
    assert ids == [int(problem.id) for problem in load_problems(str(path), limit=10, seed=4)]
    assert len(load_problems(str(path), limit=1000)) == 100


def test_gsm8k_rows_state_their_answer_after_the_marks():
    problem = problem_from_row({"question": "Q", "answer": "2+3=<<2+3=5>>5\n#### 1,005"}, "id", "gsm8k")
    assert (problem.answer, problem.solution) == ("1,005", "2+3=<<2+3=5>>5\n#### 1,005")


def test_math_rows_state_their_answer_in_the_last_box():
    row = {"problem": "Q", "solution": r"So \boxed{1}, no: $\boxed{\frac{1}{2}}$.", "level": "Level 5"}
    assert problem_from_row(row, "id", "math").answer == r"\frac{1}{2}"


# Sources


def test_generated_problems_by_name():
    assert load_problems("gsm_symbolic", limit=3) == gsm_symbolic.problems("test", 3)
    full = load_problems("gsm_symbolic:full", "train", limit=3, seed=1)
    assert full == gsm_symbolic.problems("train", 3, 1, "full")
    assert len(load_problems("gsm_symbolic", "development")) == 500


@pytest.mark.parametrize("source", ["gsm9k", "", "./owner", "a/b/c", "problems.json"])
def test_an_unknown_source_is_named(source):
    choices = "gsm_symbolic, countdown, gsm8k, math, gsm_symbolic:…, countdown:…, module:attribute"
    with pytest.raises(
        ProblemError, match=rf"problem set must be one of {choices}, got '{source}'.*\.jsonl.*owner/name"
    ):
        load_problems(source)


@pytest.fixture
def mine(monkeypatch):
    """A user's module."""

    def squares(split, limit, seed):
        return [Problem(f"{split}/{seed}/{n}", f"{n} squared?", str(n * n)) for n in range(limit or 5)]

    module = SimpleNamespace(
        squares=squares,
        twice=lambda split, limit, seed: squares(split, 1, seed) * 2,
        all_of_them=lambda split, limit, seed: squares(split, None, seed),
        texts=lambda split, limit, seed: ["How many?"],
        number=7,
    )
    monkeypatch.setitem(sys.modules, "mine", module)


@pytest.mark.usefixtures("mine")
def test_a_problem_set_of_your_own_is_a_function_of_a_module(monkeypatch):
    assert [problem.id for problem in load_problems("mine:squares", "train", 2, seed=3)] == ["train/3/0", "train/3/1"]
    assert len(load_problems("mine:squares")) == 5
    monkeypatch.setattr(PROBLEM_SETS, "_parts", dict(PROBLEM_SETS._parts))
    PROBLEM_SETS.register("squares", "mine:squares")
    assert load_problems("squares", limit=1)[0].answer == "0"


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mine:missing", "problem set must be one of gsm_symbolic.*got 'mine:missing'"),
        ("nowhere:at_all", "problem set must be one of gsm_symbolic.*No module named 'nowhere'"),
        ("mine:number", r"a function \(split, limit, seed\) that returns problems, got 7"),
        ("mine:texts", "mine:texts: expected problems, got 'How many"),
        ("mine:twice", "mine:twice: expected problems with different ids, got 'test/0/0' 2 times"),
        ("mine:all_of_them", "mine:all_of_them: expected at most 4 problems, got 5"),
        ("gsm_symbolic:hard", "level must be one of easy, full, got 'hard'"),
    ],
)
def test_what_is_no_problem_set_is_told(source, message):
    with pytest.raises(ProblemError, match=message):
        load_problems(source, limit=4)


def test_a_limit_is_at_least_one():
    with pytest.raises(ProblemError, match="limit must be >= 1 or None, got 0"):
        load_problems("gsm_symbolic", limit=0)


class FakeDataset(list):
    pass


@pytest.fixture
def hub(monkeypatch):
    """Stands in for `datasets`: remembers what was asked and gives two rows of each configuration."""
    asked: list[tuple[str, str | None, str]] = []

    def load_dataset(path, configuration, split):
        asked.append((path, configuration, split))
        if split == "nowhere":
            raise ConnectionError("no network")
        rows = [{"problem": f"{configuration} {n}?", "solution": f"\\boxed{{{n}}}"} for n in range(2)]
        return FakeDataset(rows)

    module = SimpleNamespace(load_dataset=load_dataset, Dataset=FakeDataset)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return asked


def test_hub_names_are_loaded_through_datasets(hub):
    problems = load_problems("math", "train")
    assert len(problems) == 14
    assert problems[3] == Problem(
        "math/counting_and_probability/train/1",
        "counting_and_probability 1?",
        "1",
        "\\boxed{1}",
        "EleutherAI/hendrycks_math",
    )
    assert load_problems("gsm8k")[0].id == "gsm8k/main/test/0"
    assert load_problems("owner/name", limit=1)[0].source == "owner/name"
    assert hub[-2:] == [("openai/gsm8k", "main", "test"), ("owner/name", None, "test")]


def test_a_hub_that_cannot_be_reached_is_named_with_a_way_out(hub):
    with pytest.raises(ProblemError, match=r"openai/gsm8k.*'nowhere'.*no network.*\.jsonl file instead"):
        load_problems("gsm8k", "nowhere")


# Overlap


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("How many  apples\nare left?", "how many apples are left", True),
        ("Tom's 1,500 apples.", "Tom’s 1500 apples", True),
        ("6 – 7, please", "6 - 7 please", True),
        ("It is 1.5 kg", "It is 15 kg", False),
        ("Compute 3 + 4", "Compute 3 - 4", False),
        ("Tom has 3 apples", "Tom has 4 apples", False),
        ("\uff16\u3000apples", "6 apples", True),
    ],
)
def test_questions_are_the_same_up_to_case_space_and_punctuation(one, other, same):
    assert (normalise_question(one) == normalise_question(other)) is same


@given(st.text(max_size=50))
def test_normalising_ignores_case_and_space(text):
    assert normalise_question(f"  {text}\n") == normalise_question(text)


def test_an_overlap_names_the_first_few():
    training = [Problem(f"train/{n}", f"Question {n}?") for n in range(9)]
    testing = [Problem(f"test/{n}", f"question  {n}") for n in range(4, 20)]
    with pytest.raises(OverlapError) as raised:
        check_overlap(training, testing)
    assert str(raised.value) == (
        "expected test questions that do not train, got 5 shared: 'test/4' (trains as 'train/4'), "
        "'test/5' (trains as 'train/5'), 'test/6' (trains as 'train/6') and 2 more"
    )


def test_the_generated_splits_do_not_overlap():
    check_overlap(load_problems("gsm_symbolic", "train", limit=500), load_problems("gsm_symbolic", "test"))


# Reference data, where it is


@pytest.mark.parametrize(("name", "size"), [("gsm8k_train.jsonl", 7473), ("math_train_400.jsonl", 400)])
def test_reference_files_are_read_whole(name, size):
    problems = load_problems(str(reference(name)))
    assert len(problems) == size
    assert all(problem.answer and problem.solution for problem in problems)
    assert len({normalise_question(problem.question) for problem in problems}) > 0.99 * size


def test_reference_answers_are_those_of_their_solutions():
    for name, column in (("gsm8k_train.jsonl", "answer"), ("math_train_400.jsonl", "solution")):
        for problem in load_problems(str(reference(name)), limit=100):
            row = {"question": problem.question, column: problem.solution}
            stated = problem_from_row(row, "id", name).answer
            assert stated.replace(",", "") == problem.answer.replace(",", "")
