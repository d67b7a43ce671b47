"""Critics and simulators around a problem's own verifier: no gold answer, no model."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import gymnasium as gym
import pytest

from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.measures import area_under_roc
from alphallm_env.critics.registry import make_critics
from alphallm_env.critics.verifier import Verifier
from alphallm_env.errors import CriticError
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.loading import load_policy
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import countdown
from alphallm_env.problems.countdown.game import require_game
from alphallm_env.problems.countdown.problem_set import problem_of
from alphallm_env.problems.countdown.verifier import CountdownVerifier
from alphallm_env.runtime.engine import Engine
from alphallm_env.simulator import Simulator
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import Ending, Option, Problem, State, StopReason

PROBLEM = problem_of(require_game("Make 29 from: 25 3 7"))
LINES = ("25 - 3 = 22 , 7 22\n", "7 + 22 = 29 , 29\n", "#### 29")


def after(*lines: str, problem: Problem = PROBLEM) -> State:
    state = dynamics.initial_state(problem)
    for line in lines:
        reason = StopReason.END_OF_TEXT if line.startswith("#") else StopReason.RULE
        state = dynamics.transition(state, Option(line, 9, None, reason), Rules()).state
    return state


@pytest.fixture
def simulator():
    with Engine() as engine:
        policy = Policy(ScriptedLM({"": [("#### 1\n", 1.0)]}), TinyTemplate())
        yield Simulator(policy, make_critics("verifier", CriticContext(policy, engine)), engine=engine)


def test_the_critics_named_verifier_judge_lines_and_solutions(simulator: Simulator):
    wrong = after("25 + 3 = 28 , 7 28\n", "28 + 7 = 35 , 35\n", "#### 35")
    assert asyncio.run(simulator.score("orm", [after(*LINES), wrong])) == [1.0, 0.0]
    illegal = after("25 - 3 = 21 , 7 21\n")
    assert asyncio.run(simulator.score("prm", [after(LINES[0]), after(*LINES[:2]), illegal])) == [1.0, 1.0, 0.0]
    assert simulator.critics.value is None  # nothing rolls out here
    assert simulator.is_reproducible


def test_any_planner_may_ask_whether_a_line_is_legal(simulator: Simulator):
    assert [simulator.is_legal(after(*LINES[:number])) for number in range(4)] == [True] * 4
    assert simulator.is_legal(after("25 - 3 = 21 , 7 21\n")) is False
    assert simulator.is_legal(after("2 + 3 = 5\n", problem=Problem("sum", "What is 2 + 3?", "5"))) is None


def test_a_problem_without_a_verifier_is_an_error_not_a_score(simulator: Simulator):
    state = after("#### 5", problem=Problem("sum", "What is 2 + 3?", "5"))
    with pytest.raises(CriticError, match="a gold answer or a verifier, got 'sum' without"):
        asyncio.run(simulator.score("orm", [state]))
    with pytest.raises(CriticError, match="a verifier, got 'sum' without"):
        asyncio.run(simulator.score("prm", [state]))
    with pytest.raises(CriticError, match="running"):
        asyncio.run(simulator.score("orm", [after(LINES[0])]))


def test_a_state_keeps_its_verifier_through_bytes_and_differs_from_one_without():
    state = after(*LINES)
    assert State.from_bytes(state.to_bytes()) == state
    assert State.from_bytes(state.to_bytes()).verifier == "countdown"
    assert State(PROBLEM.id, PROBLEM.question) != dynamics.initial_state(PROBLEM)
    assert b"verifier" not in State("p", "q").to_bytes()


def test_learned_critics_ask_no_verifier_and_tell_games_that_win_from_others():
    games = countdown.problems("test", 150, level="3")
    with Engine() as engine:
        policy = load_policy("tiny_countdown", "cpu")
        context = CriticContext(policy, engine, "cpu")
        simulator = Simulator(policy, make_critics("learned", context), engine=engine)
        starts = [simulator.initial_state(replace(game, verifier=None)) for game in games]
        ends = [found for [found] in engine.run(simulator.rollouts_of_each(starts, 1, range(150)))]
        scores = engine.run(simulator.score("orm", ends))
        assert len(engine.run(simulator.score("value", starts))) == 150
    verdicts = [
        CountdownVerifier().left_after(end.question, end.text) == (require_game(end.question).target,) for end in ends
    ]
    assert area_under_roc(scores, verdicts) > 0.9  # 0.998 on its card


@pytest.mark.parametrize("kind", ["", "Choice"])
def test_the_environment_pays_by_the_learned_prm_and_the_orm_that_replays(kind: str):
    env = gym.make(f"AlphaLLM/Countdown{kind}-v0", limit=3)
    critics = env.unwrapped.simulator.critics.by_name()
    assert isinstance(critics["orm"], Verifier)
    assert critics["prm"].provenance.model is not None
    assert critics["value"] is not None
    env.close()


def test_an_episode_is_paid_and_judged_without_a_gold_answer():
    env = gym.make("AlphaLLM/Countdown-v0", problems="countdown:3", limit=3, reward="verifier")
    question, _ = env.reset(seed=0)
    problem_id = env.unwrapped.clone_state().problem_id
    assert problem_id.startswith("countdown/3/")
    game = require_game(question.splitlines()[0])
    _, reward, terminated, _, info = env.step(f"#### {game.target}\n")
    assert (reward, terminated, info["verdict"]) == (0.0, True, "incorrect")  # says the target, without a way to it
    assert info["ending"] == Ending.ANSWERED.value
