import math

import pytest

from alphallm_env.errors import StateError
from alphallm_env.mdp.dynamics import Rules, initial_state, transition
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
