import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.envs.rewarding import OptionRewards, RewardRequest
from alphallm_env.mdp.dynamics import Rules, transition
from alphallm_env.mdp.rewards import CriticsReward, PotentialReward, Reward
from alphallm_env.types import Ending, Option, Problem, State

PROBLEM = Problem("p/one", "How much is 2 + 3?", "5")
START = State(PROBLEM.id, PROBLEM.question)
FIRST, SECOND = (START.child(Option(text, 2), None) for text in ("a\n", "b\n"))
ANSWERED = START.child(Option("#### 5\n", 2), Ending.ANSWERED)


class Scores:
    """Stands for a simulator: scores that differ with every call, and a record of what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[State]]] = []

    async def score(self, critic, states):
        if states:
            self.asked.append((critic, list(states)))
        return [len(self.asked) / 4 + index / 8 for index, _ in enumerate(states)]


@pytest.fixture
def rewards():
    return OptionRewards(CriticsReward(), {PROBLEM.id: PROBLEM}, Rules())


def test_each_critic_is_asked_once_for_all_states_and_never_twice(rewards):
    scores, requests = Scores(), [RewardRequest(state) for state in (FIRST, ANSWERED, SECOND)]
    found = asyncio.run(rewards.ask(scores, requests))
    assert scores.asked == [("orm", [ANSWERED]), ("prm", [FIRST, SECOND])]
    assert found == [Reward(prm=0.5), Reward(orm=0.25), Reward(prm=0.625)]
    assert asyncio.run(rewards.ask(scores, requests)) == found
    assert len(scores.asked) == 2
    assert (rewards.cached(SECOND), rewards.cached(START)) == (Reward(prm=0.625), None)
    rewards.clear()
    assert rewards.cached(SECOND) is None


def test_scores_that_are_there_are_not_asked_for(rewards):
    there = RewardRequest(FIRST, {"prm": 0.5, "value": 0.75})
    assert rewards.missing(there) == []
    assert rewards.compute(there) == Reward(prm=0.5)
    assert rewards.missing(RewardRequest(FIRST)) == ["prm"]
    assert rewards.missing(RewardRequest(ANSWERED, {"prm": 0.5})) == ["orm"]


def test_the_first_reward_of_a_state_stays(rewards):
    assert rewards.compute(RewardRequest(FIRST, {"prm": 0.5})) == Reward(prm=0.5)
    assert rewards.compute(RewardRequest(FIRST, {"prm": 0.25})) == Reward(prm=0.5)


def test_a_critic_that_was_not_declared_is_named():
    class Sly(CriticsReward):
        def critics_for(self, state):
            return ("prm", "value")

    rewards = OptionRewards(Sly(), {PROBLEM.id: PROBLEM}, Rules())
    with pytest.raises(ValueError, match=r"some of \('orm', 'prm'\), got \['value'\]"):
        rewards.missing(RewardRequest(FIRST))


class Whims:
    """Stands for a simulator whose critics give what was drawn for each text, whatever it says."""

    def __init__(self, data) -> None:
        self.data, self.drawn = data, {}

    async def score(self, critic, states):
        return [self.of(critic, state.text, state.depth) for state in states]

    def of(self, critic, text, depth=0):
        key = (critic, text, depth if critic == "prm" else 0)  # a PRM judges options, an ORM the whole text
        if key not in self.drawn:
            self.drawn[key] = self.data.draw(st.floats(0, 1), label=f"{critic} of {text!r}")
        return self.drawn[key]


def earned(whims, options, rules, function=None):
    """Returns the discounted return of the options, (text, tokens) each, and how the episode ended."""
    rewards = OptionRewards(function or PotentialReward(), {PROBLEM.id: PROBLEM}, rules)
    state, total, factor = START, 0.0, 1.0
    for text, num_tokens in options:
        if state.ending is not None:
            break
        after = transition(state, Option(text, num_tokens), rules)
        [reward] = asyncio.run(rewards.ask(whims, [RewardRequest(after.state)]))
        total += factor * reward.total
        state, factor = after.state, factor * after.discount
    return total, state


texts = st.lists(st.sampled_from(["a\n", "2 + 3 = 5\n", "So it is\n"]), min_size=1, max_size=5)


@given(st.data(), texts, st.integers(0, 4), st.integers(1, 6), st.floats(0.5, 1.0), st.booleans())
def test_a_repeated_line_is_never_paid(data, lines, where, times, gamma, per_token):
    """Whatever critics say of the steps: only what the ORM thinks of the whole solution can differ."""
    rules, whims = Rules(gamma=gamma, discount_per_token=per_token), Whims(data)
    where %= len(lines)
    repeated = lines[:where] + [lines[where]] * times + lines[where:]
    for text in ("".join(lines), "".join(repeated)):
        whims.drawn["orm", f"{text}#### 5\n", 0] = 0.625  # the ORM thinks the same of both
    once, _ = earned(whims, [(text, 3) for text in [*lines, "#### 5\n"]], rules)
    often, _ = earned(whims, [(text, 3) for text in [*repeated, "#### 5\n"]], rules)
    assert often <= once + 1e-9
    if gamma == 1.0:
        assert once == pytest.approx(0.625)
        assert often == pytest.approx(0.625)


@given(st.data(), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_a_line_repeated_until_the_budget_cuts_earns_nothing(data, max_options, max_tokens, is_whole_line):
    rules = Rules(max_options=max_options, max_tokens=max_tokens)
    line = "2 + 3 = 5\n" if is_whole_line else "so "
    total, state = earned(Whims(data), [(line, 5)] * 60, rules)
    assert state.ending in (Ending.OUT_OF_OPTIONS, Ending.OUT_OF_TOKENS)
    assert total == pytest.approx(0.0)


@given(st.data(), texts, st.integers(0, 5), st.floats(0.5, 1.0))
def test_another_cut_into_options_changes_no_return(data, lines, where, gamma):
    rules, whims = Rules(gamma=gamma, discount_per_token=True), Whims(data)
    options = [(text, len(text)) for text in [*lines, "#### 5\n"]]  # a character is a token
    where %= len(options)
    text, _ = options[where]
    parts = [(text[:2], 2), (text[2:], len(text) - 2)] if len(text) > 2 else [(text, len(text))]
    whole, _ = earned(whims, options, rules)
    split, _ = earned(whims, options[:where] + parts + options[where + 1 :], rules)
    assert split == pytest.approx(whole)
    assert whole == pytest.approx(gamma ** sum(n for _, n in options) * whims.of("orm", "".join(t for t, _ in options)))


def test_the_sum_of_scores_pays_for_repetition_as_the_paper_s_does():
    class Sure:
        async def score(self, critic, states):
            return [0.75] * len(states)

    answer = ("#### 5\n", 2)
    for times in (1, 4):
        lines = [("2 + 3 = 5\n", 5)] * times
        assert earned(Sure(), [*lines, answer], Rules(), CriticsReward())[0] == 0.75 * (times + 1)
        assert earned(Sure(), [*lines, answer], Rules())[0] == 0.75


def test_the_state_before_is_asked_about_where_it_is_not_known():
    rewards, scores = OptionRewards(PotentialReward(), {PROBLEM.id: PROBLEM}, Rules()), Scores()
    later = FIRST.child(Option("b\n", 2), None)
    assert rewards.missing(RewardRequest(later, {"prm": 0.5})) == ["prm"]
    assert asyncio.run(rewards.ask(scores, [RewardRequest(later)])) == [Reward(prm=0.375, before=-0.25)]
    assert scores.asked == [("prm", [FIRST, later])]
    assert rewards.missing(RewardRequest(later, {"prm": 0.5})) == []
    assert (
        rewards.cached(later) == rewards.compute(RewardRequest(later, {"prm": 0.5})) == Reward(prm=0.375, before=-0.25)
    )


def test_an_episode_that_stops_pays_back_what_its_state_was_worth():
    rewards, scores = OptionRewards(PotentialReward(), {PROBLEM.id: PROBLEM}, Rules()), Scores()
    assert asyncio.run(rewards.ask_to_stop(scores, FIRST)) == Reward(before=-0.25)
    assert asyncio.run(rewards.ask_to_stop(scores, START)) == Reward()
    others = OptionRewards(CriticsReward(), {PROBLEM.id: PROBLEM}, Rules())
    assert asyncio.run(others.ask_to_stop(scores, FIRST)) == Reward()
