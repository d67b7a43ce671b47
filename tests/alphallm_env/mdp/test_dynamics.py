import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphallm_env.errors import StateError
from alphallm_env.grading import extract_answer, grade
from alphallm_env.mdp.dynamics import Rules, initial_state, transition
from alphallm_env.mdp.rewards import verdict_of, verdict_on
from alphallm_env.types import Ending, Option, Problem, State, StopReason

START = initial_state(Problem("p", "How much is 2 + 3?", "5", "2 + 3 = 5\n#### 5"))


def after(*texts: str, rules: Rules | None = None, last: StopReason = StopReason.RULE) -> State:
    """Returns the state after options of one token each; the last one stops for the reason `last`."""
    state = START
    for number, text in enumerate(texts, start=1):
        reason = last if number == len(texts) else StopReason.RULE
        state = transition(state, Option(text, 1, stop_reason=reason), rules or Rules()).state
    return state


def test_an_episode_begins_with_the_question_and_no_answer():
    assert (START.problem_id, START.question, START.text, START.depth) == ("p", "How much is 2 + 3?", "", 0)
    assert not hasattr(START, "answer")


@pytest.mark.parametrize(
    ("texts", "ending"),
    [
        (("2 + 3 = 5\n",), None),
        (("2 + 3 = 5\n", "#### 5\n"), Ending.ANSWERED),
        (("#### 5",), None),  # more digits may follow
        (("####", " 5", "\n"), Ending.ANSWERED),  # one line in three options
        (("see #### 5\n",), None),  # not at the start of a line
        (("##### 5\n",), None),
        (("#### Step one: add\n",), None),  # a heading
        (("#### -5\n",), Ending.ANSWERED),
        (("#### x = 5\n",), Ending.ANSWERED),
        ((r"So \boxed{5}.", "\n"), Ending.ANSWERED),
        ((r"So \boxed{5}.",), None),
        ((r"So \boxed{", "5\n"), None),  # still open
        (("2 + 3 = 5\n#### 5\nAnd so on.\n",), Ending.ANSWERED),  # several lines as one option
    ],
)
def test_a_finished_answer_line_ends_the_episode(texts, ending):
    assert after(*texts).ending is ending


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("#### 5", Ending.ANSWERED),
        (r"So \boxed{5}", Ending.ANSWERED),
        ("The answer is 5.", Ending.ANSWERED),
        ("#### Tuesday", Ending.ANSWERED),
        ("I do not know.", Ending.DEAD_END),
        ("", Ending.DEAD_END),
    ],
)
def test_a_closed_text_has_answered_or_is_a_dead_end(text, ending):
    assert after("2 + 3 = 5\n", text, last=StopReason.END_OF_TEXT).ending is ending


def test_a_closed_text_may_have_answered_in_an_earlier_line():
    assert after("The answer is 5.\n", "Done", last=StopReason.END_OF_TEXT).ending is Ending.ANSWERED


def test_budgets_truncate_at_their_limit_and_not_before():
    three_tokens, two_options = Rules(max_tokens=3), Rules(max_options=2)
    assert after("a", "b", rules=three_tokens).ending is None
    assert after("a", "b", "c", rules=three_tokens).ending is Ending.OUT_OF_TOKENS
    assert after("a", rules=two_options).ending is None
    assert after("a", "b", rules=two_options).ending is Ending.OUT_OF_OPTIONS


def test_an_answer_at_the_limit_counts():
    assert after("a\n", "#### 5\n", rules=Rules(max_options=2, max_tokens=2)).ending is Ending.ANSWERED


def test_truncation_keeps_the_future_but_termination_does_not():
    rules = Rules(max_options=1, gamma=0.5)
    assert transition(START, Option("2 + 3\n", 4), rules).discount == 0.5
    assert transition(START, Option("#### 5\n", 4), rules).discount == 0.0
    assert transition(START, Option("?", 1, stop_reason=StopReason.END_OF_TEXT), rules).discount == 0.0


def test_discount_per_token_is_gamma_to_the_tokens():
    rules = Rules(gamma=0.9, discount_per_token=True)
    assert math.isclose(transition(START, Option("2 + 3\n", 3), rules).discount, 0.729)


def test_an_ended_episode_takes_no_option():
    with pytest.raises(StateError, match="has ended: answered"):
        transition(after("#### 5\n"), Option("more", 1), Rules())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_options": 0}, "max_options must be >= 1, got 0"),
        ({"max_tokens": 0}, "max_tokens must be >= 1, got 0"),
        ({"max_option_tokens": -1}, "max_option_tokens must be >= 1, got -1"),
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\], got 1.5"),
    ],
)
def test_impossible_rules_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Rules(**arguments)


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("#### 1. Count the pens\n", None),
        ("#### **Step 1**\n", None),
        ("\\boxed{}\n", None),
        ("<think>\n\\boxed{5}\n#### 5\n", None),
        ("<think>\n\\boxed{6}\n</think>\n\\boxed{5}\n", Ending.ANSWERED),
        ("\\fbox{5}\n", Ending.ANSWERED),
        ("\\boxed{\n5\n}\n", Ending.ANSWERED),
        ("\\boxed{5}. Wait, that's wrong.\n", None),
    ],
)
def test_only_a_value_outside_of_thinking_ends_the_episode(text, ending):
    assert after("2 + 3 = 5\n", text).ending is ending
    assert after("2 + 3 = 5\n", *text, rules=Rules(max_options=99)).ending is ending  # a character at a time
    assert after("2 + 3 = 5\n", *text.splitlines(keepends=True)).ending is ending


def test_a_text_cut_by_a_budget_has_answered_where_it_states_an_answer():
    cut = after("2 + 3 = 5\n", "The answer is 5.", rules=Rules(max_tokens=2), last=StopReason.LENGTH)
    assert cut.ending is Ending.ANSWERED
    assert verdict_on(cut, Problem("p", "How much is 2 + 3?", "5")) == "correct"
    assert after("The answer is 5. Wait, no.", rules=Rules(max_tokens=1)).ending is Ending.OUT_OF_TOKENS


pieces = st.sampled_from(
    ["2 + 3 = 5\n", "#### 5\n", "#### 6", "\n", "The answer is 5.", " Wait, that's wrong.", "\\boxed{5}", "\\boxed{}\n",
     "<think>", "</think>", "#### 1. Add\n", "\\boxed{\n5\n}\n", "So it is 7.\n"]
)  # fmt: skip


@settings(deadline=None)  # the first comparison starts a grader
@given(st.lists(pieces, min_size=1, max_size=6), st.integers(1, 6), st.sampled_from(StopReason))
def test_environment_and_evaluation_judge_every_text_alike(texts, budget, last):
    problem = Problem("p", "How much is 2 + 3?", "5")
    rules, state = Rules(max_tokens=budget), START
    for number, text in enumerate(texts):
        if state.ending is None:
            reason = last if number == len(texts) - 1 else StopReason.RULE
            state = transition(state, Option(text, 1, stop_reason=reason), rules).state
    if state.ending is not None:
        answer = extract_answer(state.text)
        assert (state.ending is Ending.ANSWERED) is (answer is not None)
        expected = "unanswered" if answer is None else grade(answer, "5").value
        assert verdict_on(state, problem) == verdict_of(state.text, problem) == expected
