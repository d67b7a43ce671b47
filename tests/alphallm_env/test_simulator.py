"""What a planner may ask for: seeds, token limits and accounts, worked on a scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from unittest.mock import ANY

import pytest

from alphallm_env.critics.base import Critics
from alphallm_env.critics.prompted.generative import OutcomeRewardModel
from alphallm_env.errors import CriticError, StateError
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.prompts.thinking import continued
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TO_THE_END
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, Role, Usage, Work, metering
from alphallm_env.simulator import Simulator
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import Ending, Option, Problem, State, StopReason

PROBLEM = Problem("sum", "What is 2 + 3 ?", "5")
# A word with the white space around it is a token.
SCRIPT = {
    "": [("2 + 3 = 5\n", 0.5), ("2 + 3 = 6\n", 0.5)],  # five tokens each
    "2 + 3 = 5\n": [("#### 5\n", 1.0)],  # two, and one more to close the text
    "2 + 3 = 6\n": [("#### 6\n", 1.0)],
}


class Spy(ScriptedLM):
    """A scripted model that remembers what it was asked."""

    def __init__(self, *arguments, **settings) -> None:
        super().__init__(*arguments, **settings)
        self.requests: list[GenerationRequest] = []

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        self.requests += requests
        return super().generate(requests)


class FixedCritic:
    name = "fixed"

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        return self.scores


def policy(script=SCRIPT, **settings) -> Policy:
    return Policy(Spy(script, lambda prompt, labels: (0.6, 0.2), **settings), TinyTemplate())


def simulator(**parts) -> Simulator:
    return Simulator(**{"policy": policy()} | parts)


def run(world: Simulator, work: Coroutine) -> object:
    with world.engine:
        return world.engine.run(work)


def after(world: Simulator, *texts: str) -> State:
    state = world.initial_state(PROBLEM)
    for text in texts:
        state = world.transition(state, Option(text, world.policy.lm.count_tokens(text))).state
    return state


def seeds(world: Simulator) -> list[int]:
    return [request.seed for request in world.policy.lm.requests]


def test_a_sample_depends_on_seed_state_and_index_only():
    async def ask(*counts: int) -> list[Option]:
        first, options = 0, []
        for count in counts:
            options += await world.propose(start, count, seed=7, first_index=first)
            first += count
        return options

    world = simulator()
    start = after(world)
    at_once = run(world, ask(6))
    assert at_once == run(world, ask(1, 2, 3))
    assert {option.text for option in at_once} == {"2 + 3 = 5\n", "2 + 3 = 6\n"}
    assert seeds(world)[:6] == seeds(world)[6:]
    assert len(set(seeds(world))) == 6


def test_other_seeds_states_roles_and_kinds_draw_otherwise():
    async def ask() -> None:
        await world.propose(start, 1, seed=7)
        await world.propose(start, 1, seed=8)
        await world.propose(after(world, "2 + 3 = 5\n"), 1, seed=7)
        await world.propose(start, 1, seed=7, to_the_end=True)
        await world.propose(start, 1, seed=7, role=Role.ROLLOUT)

    world = simulator()
    start = after(world)
    run(world, ask())
    assert len(set(seeds(world))) == 5


def test_searches_beside_each_other_change_nothing():
    async def both() -> list[list[Option]]:
        return await asyncio.gather(world.propose(one, 3, seed=1), world.propose(other, 3, seed=2))

    world = simulator()
    one, other = after(world), world.initial_state(Problem("other", "And 3 + 2 ?"))
    beside = run(world, both())
    assert beside == [run(world, world.propose(one, 3, seed=1)), run(world, world.propose(other, 3, seed=2))]


def test_an_option_ends_at_the_rule_and_to_the_end_it_is_the_rest_of_the_solution():
    world = simulator()
    start = after(world, "2 + 3 = 6\n")
    [line] = run(world, world.propose(after(world), 1, seed=0))
    assert (line.num_tokens, line.stop_reason) == (5, StopReason.RULE)
    [rest] = run(world, world.propose(start, 1, seed=0, to_the_end=True))
    assert rest == Option("#### 6\n", 3, 0.0, StopReason.END_OF_TEXT)
    assert world.policy.lm.requests[-1].rule is TO_THE_END


@pytest.mark.parametrize(
    ("to_the_end", "num_before", "expected"),
    [(False, 0, 8), (False, 15, 5), (True, 0, 20), (True, 15, 5)],
)
def test_no_request_may_overrun_the_episode_and_an_option_not_its_own_limit(to_the_end, num_before, expected):
    world = simulator(rules=Rules(max_tokens=20, max_option_tokens=8))
    state = after(world)
    if num_before:
        state = world.transition(state, Option("2 + 3 = 5\n", num_before)).state
    run(world, world.propose(state, 1, seed=0, to_the_end=to_the_end))
    assert [request.max_tokens for request in world.policy.lm.requests] == [expected]


def test_the_temperature_is_the_policys_unless_another_is_asked_for():
    world = simulator(policy=Policy(Spy(SCRIPT), TinyTemplate(), temperature=0.7))
    for temperature in (None, 0.0, 1.3):
        run(world, world.propose(after(world), 1, seed=0, temperature=temperature))
    assert [request.temperature for request in world.policy.lm.requests] == [0.7, 0.0, 1.3]


def test_rollouts_end_and_are_written_by_the_rollout_model():
    world = simulator(rollout_policy=policy({"": [("#### 9\n", 1.0)]}))
    ends = run(world, world.rollouts(after(world), 2, seed=0))
    assert [end.text for end in ends] == ["#### 9\n"] * 2
    assert {end.ending for end in ends} == {Ending.ANSWERED}
    assert world.policy.lm.requests == []
    assert len(world.rollout_policy.lm.requests) == 2


def computed(num_tokens: int) -> dict[str, int]:
    """What a search has computed, by a model of one weight."""
    return {"computed_tokens": num_tokens, "flops": 2 * num_tokens}


def test_everything_is_counted_on_the_meter_of_the_search_by_role():
    engine = Engine()
    acting = policy()
    judge = OutcomeRewardModel(acting.lm, acting.template, engine)
    world = simulator(policy=acting, critics=Critics(orm=judge), engine=engine)
    start = after(world)
    num_read = acting.lm.count_tokens(acting.template.solve(PROBLEM.question, ""))
    with metering(Meter()) as meter:
        run(world, world.propose(start, 3, seed=0))
    assert meter.usage == Usage(policy_tokens=15, prompt_tokens=3 * num_read, **computed(15 + num_read))
    assert meter.usage.policy == Work(15, num_read, 2 * num_read, ANY, ANY)  # samples share their prompt
    with metering(Meter()) as meter:
        ends = run(world, world.rollouts(start, 2, seed=0))
    # Five, two and the closing one.
    assert meter.usage == Usage(rollout_tokens=16, prompt_tokens=2 * num_read, **computed(16 + num_read))
    with metering(Meter()) as meter:
        scores = run(world, world.score("orm", ends))
    assert scores == [pytest.approx(0.75)] * 2  # 0.6 of 0.8
    judged = [acting.template.judge_outcome(PROBLEM.question, end.text) for end in ends]
    num_judged = sum(map(acting.lm.count_tokens, judged))
    assert judged[0] == judged[1]  # the second one is known
    assert meter.usage == Usage(critic_tokens=num_judged, **computed(num_judged // 2))


def test_no_gold_answer_reaches_a_state():
    state = simulator().initial_state(Problem("p", "How many?", answer="98765", solution="A secret way."))
    assert b"98765" not in state.to_bytes()
    assert b"secret" not in state.to_bytes()


def test_an_ended_state_is_refused_before_anything_is_generated():
    world = simulator()
    with pytest.raises(StateError, match="expected a running state, got one that has ended: answered"):
        run(world, world.propose(after(world, "#### 5\n"), 1, seed=0))
    assert world.policy.lm.requests == []


def test_a_critic_that_is_not_there_is_an_error():
    world = simulator()
    with pytest.raises(CriticError, match="'prm' is needed here"):
        run(world, world.score("prm", [after(world)]))
    with pytest.raises(CriticError, match="must be one of value, prm, orm, got 'judge'"):
        run(world, world.score("judge", [after(world)]))


def test_a_critics_failure_is_never_a_score():
    world = simulator(critics=Critics(value=FixedCritic(0.5), orm=FixedCritic(float("nan"))))
    assert run(world, world.score("value", [after(world)])) == [0.5]
    assert run(world, world.score("value", [])) == []
    with pytest.raises(CriticError):
        run(world, world.score("value", [after(world), after(world)]))
    with pytest.raises(CriticError):
        run(world, world.score("orm", [after(world)]))


class Thinking(TinyTemplate):
    """Prompts whose answers begin in a thinking part."""

    def solve(self, question: str, solution: str) -> str:
        """Returns the question, an opened thinking part, and the solution in it and behind it."""
        return continued(super().solve(question, "") + "<think>\n", solution)


def test_a_thinking_part_that_the_prompt_opens_begins_the_first_option():
    script = {"": [("2 + 3 = 6\n#### 6\nno, 5\n</think>\nIt is 5.\n", 1.0)], "IT": [("#### 5\n", 1.0)]}
    lm = ScriptedLM(script, marker="<think>\n")
    with Engine() as engine:
        simulator = Simulator(Policy(lm, Thinking()), rules=Rules(), engine=engine)
        start = simulator.initial_state(PROBLEM)
        [option] = engine.run(simulator.propose(start, 1, 0))
        assert option.text == "<think>\n2 + 3 = 6\n#### 6\nno, 5\n</think>\nIt is 5.\n"
        after = simulator.transition(start, option).state
        assert after.ending is None
        assert simulator.policy.template.solve(PROBLEM.question, after.text).count("<think>") == 1
        [end] = engine.run(simulator.rollouts(start, 1, 0))
        assert end.text.startswith("<think>\n2 + 3")
