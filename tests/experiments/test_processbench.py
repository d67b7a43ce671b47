"""ProcessBench: its measures by hand, its command with scripted and tiny critics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from paths import DATA

from alphallm_env.critics.loading import TINY_CRITICS
from alphallm_env.errors import CriticError, ProblemError
from alphallm_env.types import State
from experiments import processbench
from experiments.critics.first_mistakes import AnnotatedSolution, accuracy, best_threshold, read_rows, step_scores
from experiments.processbench import BenchConfig

ROWS = [
    AnnotatedSolution("a", "Q?", ("one", "two", "three"), 1),
    AnnotatedSolution("b", "Q?", ("one", "two"), -1),
    AnnotatedSolution("c", "Q?", ("one",), 0),
    AnnotatedSolution("d", "Q?", ("one", "two"), -1),
]
SCORES = [(0.9, 0.2, 0.1), (0.8, 0.7), (0.6,), (0.9, 0.3)]


def write(path: Path, rows: Sequence[AnnotatedSolution] = ROWS) -> Path:
    path.write_text("".join(
        json.dumps({"id": r.id, "question": r.question, "steps": list(r.steps), "label": r.label}) + "\n" for r in rows
    ))  # fmt: skip
    return path


def test_f1_by_hand() -> None:
    found = accuracy(ROWS, SCORES, 0.5)
    assert (found.wrong_accuracy, found.right_accuracy) == (0.5, 0.5)  # a and b are found, c and d are not
    assert (found.f1, found.num_wrong, found.num_right) == (0.5, 2, 2)
    # 0.65 lies between 0.6 and 0.7: a, b and c; lower loses c, higher b.
    assert best_threshold(ROWS, SCORES) == pytest.approx(0.65)
    best = accuracy(ROWS, SCORES, 0.65)
    assert best.f1 == pytest.approx(2 / 3)  # of 1 and 1/2
    with pytest.raises(ValueError, match="with and without a mistake, got 1 and 0"):
        accuracy(ROWS[:1], SCORES[:1], 0.5)


class Lengths:
    """Scores a state by the length of its text and the number of its options."""

    name = "prm"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        self.asked += [state.text for state in states]
        return [1 / state.depth for state in states]


class AllAtOnce(Lengths):
    num_left_out = 0

    async def score_steps(self, states: Sequence[State]) -> list[tuple[float, ...]]:
        return [tuple(0.5 for _ in range(state.depth - self.num_left_out)) for state in states]


def test_each_step_is_judged_after_those_before_it() -> None:
    critic = Lengths()
    assert asyncio.run(step_scores(critic, ROWS[:2])) == [(1.0, 0.5, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert critic.asked == ["one\n", "one\ntwo\n", "one\ntwo\nthree\n", "one\n", "one\ntwo\n"]


def test_a_critic_that_scores_all_steps_is_asked_once_and_must_score_all() -> None:
    critic = AllAtOnce()
    assert asyncio.run(step_scores(critic, ROWS[:1])) == [(0.5, 0.5, 0.5)]
    assert critic.asked == []
    critic.num_left_out = 1
    with pytest.raises(CriticError, match="expected 3 scores of the steps of 'a', got 2"):
        asyncio.run(step_scores(critic, ROWS[:1]))


def test_rows_that_are_not_as_expected_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl")
    assert read_rows(path) == ROWS
    assert read_rows(path, limit=2) == ROWS[:2]
    good = path.read_text().splitlines()[0]
    for bad, message in (
        ("{", "line 2"),
        ('{"question": "Q?"}', "line 2.*KeyError"),
        ('{"question": "Q?", "steps": [], "label": -1}', "a list of texts, in line 2"),
        ('{"question": "Q?", "steps": [1], "label": -1}', "a list of texts, in line 2"),
        ('{"question": "Q?", "steps": "ab", "label": -1}', "a list of texts, in line 2"),
        ('{"question": 7, "steps": ["a"], "label": -1}', "a list of texts, in line 2"),
        ('{"question": "Q?", "steps": ["a"], "label": 1}', r"in \[-1, 1\) in line 2.*got 1"),
    ):
        path.write_text(f"{good}\n{bad}\n")
        with pytest.raises(ProblemError, match=message):
            read_rows(path)
    path.write_text("")
    with pytest.raises(ProblemError, match="at least one row"):
        read_rows(path)


@pytest.mark.parametrize("critic", ["tiny", "prompted"])
def test_the_command_measures_critics_by_name(critic: str, tmp_path: Path) -> None:
    rows = [
        AnnotatedSolution(
            "", f"Ana has {n} apples and buys 2. How many has she?", (f"{n} + 2 = {n + 2}", f"#### {answer}"), label
        )
        for n in range(3, 9)
        for answer, label in ((n + 2, -1), (n + 9, 1))
    ]
    out, path = tmp_path / "found.json", write(tmp_path / "rows.jsonl", rows)
    policy = str(TINY_CRITICS) if critic == "prompted" else "tiny"  # a model that answers by a label
    config = BenchConfig(rows=path, critic=critic, policy=policy, json=out, development=4, device="cpu")
    found = processbench.main(config)
    record = json.loads(out.read_text())
    assert found.num_wrong + found.num_right == 8
    assert record["f1"] == found.f1
    assert sum(row["development"] for row in record["rows"]) == 4
    assert all(len(row["scores"]) == 2 for row in record["rows"])
    assert record["provenance"]["critic"] == "prm"
    assert record["critic_tokens"] > 0
    with pytest.raises(ValueError, match=r"development must be in \[0, 12\), got 12"):
        processbench.main(BenchConfig(rows=config.rows, critic=critic, development=12, device="cpu"))


def test_a_model_that_answers_by_no_label_is_an_error(tmp_path: Path) -> None:
    rows = [AnnotatedSolution("", "Ana has 3 apples and buys 2. How many has she?", ("3 + 2 = 5", "#### 5"), -1)]
    with pytest.raises(CriticError, match="does not answer with them"):
        processbench.main(BenchConfig(rows=write(tmp_path / "rows.jsonl", rows), critic="prompted", device="cpu"))


def test_the_real_rows_are_as_expected() -> None:
    data = DATA
    path = data / "processbench_gsm8k_200.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path.name}: set ALPHALLM_DATA to the folder that has it")
    rows = read_rows(path)
    assert len(rows) == 200
    assert {row.label == -1 for row in rows} == {True, False}
