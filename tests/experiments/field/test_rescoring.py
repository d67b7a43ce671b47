"""Searches that are graded anew and re-ranked, from the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alphallm_env.errors import RunError
from alphallm_env.runtime.files import Journal
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import Ending, Option, Problem, ScoreKind, State, Trajectory
from experiments import evaluate
from experiments.evaluate import EvaluateConfig
from experiments.field.rescoring import rescore
from experiments.runs.models import Models
from experiments.runs.search_records import SearchRecord
from experiments.runs.settings import changed

QUESTION = "Make 29 from: 25 3 7"
WON = "25 - 3 = 22 , 7 22\n7 + 22 = 29 , 29\n#### 29"
LOST = "25 + 3 = 28 , 7 28\n7 + 28 = 35 , 35\n#### 35"


def ended(text: str, score: float, question: str = QUESTION, verifier: str = "countdown") -> Trajectory:
    state = State("game", question, verifier=verifier).child(Option(text, 9), Ending.ANSWERED)
    return Trajectory(state, score, score_kind=ScoreKind.ORM)


def record(number: int, verdict: str, best: Trajectory, *rejected: Trajectory, answer: str = "") -> SearchRecord:
    problem = Problem(f"game/{number}", QUESTION, verifier="countdown")
    stated = answer or best.state.text.split("#### ")[-1]
    return SearchRecord(problem, stated, verdict, best.score, best, Usage(policy_tokens=9), rejected=rejected)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "searches").mkdir()
    records = [
        record(0, "correct", ended(WON, 0.9), ended(LOST, 0.2)),
        record(1, "incorrect", ended(WON, 0.9)),  # graded otherwise when it was searched
        record(2, "incorrect", ended(LOST, 0.9), ended(LOST + " ", 0.5), ended(WON, 0.1)),
        record(3, "incorrect", ended(LOST, 0.9), answer="99"),  # what it chose is not kept
        SearchRecord(Problem("imagined", "What?"), None, "unknown", 0.0, ended(LOST, 0.0), Usage()),
    ]
    Journal(tmp_path / "searches" / "a.jsonl", SearchRecord.to_json, SearchRecord.from_json).append(records)
    return tmp_path


def test_verdicts_are_todays_and_what_is_not_kept_stays(run: Path):
    [found] = rescore(run)
    assert (found.num_problems, found.stored, found.graded_anew) == (4, 0.25, 0.5)
    assert (found.changed, found.ungraded) == (("game/1",), 1)
    assert found.majority == 0.5  # of one each the better-scored one
    assert found.highest_score == 0.5
    assert found.new_orm is None
    assert json.loads((run / "rescored.json").read_text())["searches"][0]["changed"] == ["game/1"]


def test_another_orm_chooses_among_what_is_kept(run: Path):
    [found] = rescore(run, Models(policy="tiny_countdown", critics="verifier"))
    assert found.new_orm == 0.75  # three of four searches kept a solution
    assert found.new_orm_gain_ci95 is not None
    assert found.new_orm_gain_ci95[1] > 0


def test_a_folder_without_searches_is_an_error(tmp_path: Path):
    with pytest.raises(RunError, match="expected searches of problems with answers"):
        rescore(tmp_path)
    assert not (tmp_path / "rescored.json").exists()


def test_the_command_grades_a_run_in_place_of_searching(run: Path):
    assert evaluate.main(changed(EvaluateConfig(), rescore=run)) == []
    assert json.loads((run / "rescored.json").read_text())["critics"] == ""
    evaluate.main(changed(EvaluateConfig(), rescore=run, policy="tiny_countdown", critics="verifier"))
    assert json.loads((run / "rescored.json").read_text())["critics"] == "verifier"
