"""The comparison of the ORM with tools and without: its measures by hand, its command with a scripted model."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from alphallm_env.errors import CriticError, ProblemError, RunError
from alphallm_env.grading import Verdict, grade
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import FewShotTemplate
from alphallm_env.testing.scripted import Continuations, ScriptedLM
from experiments import tools_report
from experiments.critics.math_like import TASKS, math_like
from experiments.critics.tools import Judged, compare, show
from experiments.tools_report import ToolsConfig

if sys.platform != "linux":
    pytest.skip("programs are run on Linux only", allow_module_level=True)

PROGRAM = "```python\nprint(6 * 7)\n```\n"


def judged(problem_id: str, correct: bool, plain: float, with_tools: float, *programs: str) -> Judged:
    return Judged(problem_id, correct, plain, with_tools, programs, "")


def test_gain_by_hand() -> None:
    found = compare([
        judged("a", True, 0.2, 0.9, "ok"), judged("a", False, 0.8, 0.1, "ok", "error"),
        judged("b", True, 0.9, 0.8), judged("b", False, 0.1, 0.3, "timeout"),
    ])  # fmt: skip
    assert (found.plain.auc, found.with_tools.auc, found.gain) == (0.75, 1.0, 0.25)
    assert found.gain_ci95[0] == 0.0  # problem b alone, twice
    assert found.gain_ci95[1] == 1.0  # problem a alone, twice
    assert found.share_with_program == 0.75
    assert found.program_endings == {"ok": 2, "error": 1, "timeout": 1}
    assert "+0.250" in str(show(found).caption)


def test_it_needs_solutions_of_both_kinds() -> None:
    with pytest.raises(ValueError, match="both kinds, got 1 correct and 0 incorrect"):
        compare([judged("a", True, 0.2, 0.9)])


@pytest.mark.parametrize("task", TASKS)
def test_problems_have_answers_that_grade_as_right(task: str) -> None:
    problems = math_like([task], 8, seed=3)
    assert len({problem.question for problem in problems}) == 8
    assert problems == math_like([task], 8, seed=3) != math_like([task], 8, seed=4)
    for problem in problems:
        assert problem.answer is not None
        assert grade(problem.answer, problem.answer) is Verdict.CORRECT


def test_tasks_take_turns_and_unknown_ones_are_refused() -> None:
    ids = [problem.id for problem in math_like(["gcd", "lcm"], 2, 0)]
    assert [name.partition("/")[0] for name in ids] == ["gcd", "lcm", "gcd", "lcm"]
    assert len(set(ids)) == 4
    with pytest.raises(ProblemError, match=r"such as chain_sum, .* got 'nonsense'"):
        math_like(["nonsense"], 2, 0)


class Checker(ScriptedLM):
    """Answers 42 or 41; checks by a program where `checks`, and believes what that printed; else knows nothing."""

    def __init__(self, checks: bool = True) -> None:
        super().__init__({"": [("#### 42", 0.5), ("#### 41", 0.5)]}, self._doubts)
        self._check: Continuations = [(PROGRAM, 1.0)] if checks else [("Who knows.", 1.0)]

    def _continuations(self, prompt: str, written: str) -> Continuations:
        asked = (prompt + written).rpartition("Problem:")[2]
        _, is_check, work = asked.partition("Check:\n")
        if is_check:
            return () if "```output" in work or "Who" in work else self._check
        return () if "####" in written else self._script[""]

    @staticmethod
    def _doubts(prompt: str, labels: Sequence[str]) -> tuple[float, float]:
        asked = prompt.rpartition("Problem:")[2]
        if "```output\n42" not in asked:
            return 0.5, 0.5
        return (0.9, 0.1) if "#### 42" in asked else (0.1, 0.9)


def problems_file(folder: Path) -> Path:
    path = folder / "problems.jsonl"
    path.write_text("".join(
        json.dumps({"question": f"What is {n} more than {42 - n}?", "answer": "#### 42"}) + "\n" for n in range(6)
    ))  # fmt: skip
    return path


def config_in(folder: Path, lm: ScriptedLM, monkeypatch: pytest.MonkeyPatch) -> ToolsConfig:
    monkeypatch.setattr(tools_report, "load_policy", lambda *_: Policy(lm, FewShotTemplate()))
    return ToolsConfig(
        out=folder / "run", json=folder / "report.json", problems=str(problems_file(folder)), limit=6, samples=4,
        temperature=1.0, chunk=5,
    )  # fmt: skip


def test_the_command_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path, Checker(), monkeypatch)
    found = tools_report.main(config)
    assert (found.plain.auc, found.with_tools.auc) == (0.5, 1.0)
    assert found.share_with_program == 1.0
    assert found.program_endings == {"ok": found.plain.num_scores}
    assert 0.0 < found.plain.base_rate < 1.0
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["gain"] == 0.5
    assert written["config"]["samples"] == 4

    journal = config.out / "judged.jsonl"
    whole = journal.read_text()
    journal.write_text("".join(whole.splitlines(keepends=True)[:7]))
    tools_report.main(config)
    assert journal.read_text() == whole
    with pytest.raises(RunError, match="max_programs: 2 there, 1 now"):
        tools_report.main(replace(config, max_programs=1))


def test_without_programs_both_know_as_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tools_report.main(config_in(tmp_path, Checker(checks=False), monkeypatch))
    assert (found.gain, found.share_with_program, found.program_endings) == (0.0, 0.0, {})


def test_the_tiny_policy_cannot_be_asked_for_programs(tmp_path: Path) -> None:
    with pytest.raises(CriticError, match="needs a model that can be asked for programs"):
        tools_report.main(ToolsConfig(out=tmp_path / "run", num_each=1, samples=1, max_tokens=4))
