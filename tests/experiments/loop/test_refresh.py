"""Critics that are fitted to the searches of a round: what they learn from, and that they come back as critics."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random

import pytest

from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.registry import make_critics
from alphallm_env.errors import RunError
from alphallm_env.lm.shipped import COUNTDOWN_POLICY
from alphallm_env.loading import load_policy
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.problems.countdown import LEVELS, solution_of
from alphallm_env.problems.countdown.problem_set import draw, problem_of
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import Ending, Option, Problem, ScoreKind, State, Trajectory
from experiments.loop import refresh
from experiments.loop.config import PRESETS, smoke
from experiments.loop.improvement import SelfImprovement
from experiments.loop.plan import arms_of
from experiments.loop.worlds import CountdownWorld
from experiments.runs.search_records import SearchRecord
from experiments.runs.settings import changed


def trajectory(problem: Problem, text: str, score: float) -> Trajectory:
    state = State(problem.id, problem.question).child(Option(text, 9), Ending.ANSWERED)
    return Trajectory(state, score, score_kind=ScoreKind.ORM)


def record(problem: Problem, *found: tuple[str, float]) -> SearchRecord:
    best, *others = [trajectory(problem, text, score) for text, score in found]
    return SearchRecord(problem, None, "unknown", best.score, best, Usage(), rejected=tuple(others))


def test_a_search_becomes_samples_and_steps_with_the_share_that_is_right():
    problem = Problem("a", "Make 5 from: 2 3")
    [data] = refresh.graded([record(problem, ("x\ny\n", 0.9), ("x\nz\n", 0.89), ("x\nw\n", 0.0))], SentenceRule(), 0.9)
    assert [(sample.steps, sample.correct) for sample in data.samples] == [
        (("x\n", "y\n"), True), (("x\n", "z\n"), False), (("x\n", "w\n"), False),
    ]  # fmt: skip
    shares = {(*step.before, step.step): step.share_correct for step in data.steps}
    assert shares == {
        ("x\n",): pytest.approx(1 / 3), ("x\n", "y\n"): 1.0, ("x\n", "z\n"): 0.0, ("x\n", "w\n"): 0.0,
    }  # fmt: skip


def test_a_problem_is_in_one_part_alone_and_what_is_missing_is_said():
    problems = [Problem(str(number), f"question {number}") for number in range(60)]
    records = [record(problem, ("x\n", 1.0), ("y\n", 0.0)) for problem in problems]
    parts = refresh.split(refresh.graded(records, SentenceRule(), 0.9), seed=1)
    found = [entry.samples[0].problem_id for part in parts.values() for entry in part]
    assert sorted(found) == sorted(problem.id for problem in problems)
    assert all(parts.values())
    assert parts == refresh.split(refresh.graded(records, SentenceRule(), 0.9), seed=1)
    assert not refresh.lacking(parts)
    lost = refresh.split(
        refresh.graded([record(problem, ("x\n", 0.0)) for problem in problems], SentenceRule(), 0.9), seed=1
    )
    assert "states for the value in the train part, all of one outcome" in refresh.lacking(lost)


def test_what_is_fitted_is_measured_by_level_and_replaces_a_critic_by_name(tmp_path: Path):
    """Games that are won, beside the same ones with a false first line, which a probe is told of."""
    rng, records = Random(1), list[SearchRecord]()
    for level in ("2", "3") * 60:
        game, played = draw(rng, LEVELS[level])
        won = solution_of(game.numbers, played)
        records.append(record(problem_of(game), (won, 1.0), (won.replace(" = ", " = 9", 1), 0.0)))
    parts = refresh.split(refresh.graded(records, SentenceRule(), 0.9), seed=0)
    world = CountdownWorld(changed(PRESETS["countdown"], levels="2,3", evaluation_problems=2))
    refresh.fit(str(COUNTDOWN_POLICY), "cpu", parts, tmp_path, world.questions.level_of, seed=0)
    measures = {(measure.critic, measure.level): measure for measure in refresh.measures_in(tmp_path)}
    assert {("value", "3"), ("orm", "2"), ("orm", "3")} <= set(measures)
    assert measures["orm", "3"].auc > 0.9
    for measure in measures.values():
        assert sum(num for num, _, _ in measure.bins) == measure.num_states
        gaps = sum(num * abs(score - outcome) for num, score, outcome in measure.bins)
        assert gaps / measure.num_states == pytest.approx(measure.ece)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["critics", "measures.json"]

    with Engine() as engine:
        policy = load_policy("tiny_countdown", "cpu", "float32")
        critics = make_critics(f"verifier,orm={tmp_path / 'critics'}", CriticContext(policy, engine, "cpu"))
        right = [record.best.state for record in records]
        wrong = [record.rejected[0].state for record in records]
        scores = asyncio.run(critics.require("orm").evaluate([*right, *wrong]))
    assert sum(scores[: len(right)]) / len(right) > sum(scores[len(right) :]) / len(wrong) + 0.3


def test_the_loop_fits_critics_to_its_searches_and_runs_again_with_a_learned_orm(tmp_path: Path):
    config = changed(
        smoke(PRESETS["countdown"]), rounds=1, imagined=60, training_budget=150, controls=("learned_orm",),
        refresh="value,prm", test_levels="3,4", search_levels="4", threads=1,
    )  # fmt: skip
    with SelfImprovement(config, tmp_path / "run") as run:
        rows = run.run()
        fitted = run.refit(
            "round1", config.models, run.records["round1", "imagined", "eta_mcts_plus"], ("value", "prm")
        )
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    found = {(measure["stage"], measure["critic"]) for measure in results["learned_critics"]}
    assert {stage for stage, _ in found} == {"round1", "learned_orm-taught"}
    assert {critic for _, critic in found} == {"value", "prm", "orm"}
    assert {(row.control, row.stage) for row in rows} == {
        ("", "before"), ("", "round1"), ("learned_orm", "learned_orm-round1"),
    }  # fmt: skip
    folder = tmp_path / "run" / "checkpoints" / "round1-critics" / "critics"
    assert fitted.critics == f"verifier,value={folder},prm={folder}"
    assert results["critic_solver_accuracy"][-1]["stage"] == "learned_orm-round1"


def test_the_verifier_does_not_stand_in_for_an_orm_that_was_not_learnt(tmp_path: Path):
    config = changed(smoke(PRESETS["countdown"]), imagined=2, controls=("learned_orm",), threads=1)
    with (
        SelfImprovement(config, tmp_path / "run") as run,
        pytest.raises(RunError, match="expected samples to learn an"),
    ):
        run.improve(arms_of(config)[1])
