import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.mdp.options import (
    TERMINATION_RULES,
    FormulaRule,
    NeverRule,
    OptionRule,
    RegexRule,
    SentenceRule,
    TokenRule,
    discount,
    rule_after,
    split_options,
)
from alphallm_env.testing import check_termination_rule
from alphallm_env.testing.rules import SOLUTIONS
from alphallm_env.types import Option


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("", False),
        ("So 2 + 3", False),
        ("So 2 + 3 = 5\n", True),
        ("\n", False),
        ("\n \n", False),
        ("\n\nSo\n", True),
    ],
)
def test_a_sentence_ends_at_the_newline_after_visible_text(text, ends):
    assert SentenceRule().terminates(text) is ends


@pytest.mark.parametrize(("text", "ends"), [("", False), ("S", True), (" ", True)])
def test_every_token_is_an_option(text, ends):
    assert TokenRule().terminates(text) is ends


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("Let $x = 2$.\n\n", True),
        ("Let $x = 2$.\n \t\n", True),
        ("Let $x = 2$.\n", False),  # no blank line yet
        ("Let x be two.\n\n", False),  # no formula: goes on to the next blank line
        ("Let x be two.\n\nSo \\(x + 1 = 3\\).\n\n", True),
        ("\\[x\n= 2\\]\n\n", True),
        ("That is <<2+3=5>>5.\n\n", True),
        ("$$x = 2$$\n\n", True),
        ("It costs $5 and then $7.\n\n", False),  # money
        ("Let $x = 2$.\n\nSo", False),  # not at the end
    ],
)
def test_a_formula_option_ends_at_a_blank_line_after_a_formula(text, ends):
    assert FormulaRule().terminates(text) is ends


def test_a_regex_rule_matches_the_end_only():
    rule = RegexRule(r"\.|\?")
    assert rule.terminates("So it is.")
    assert not rule.terminates("3.5 kg")


@given(st.text(max_size=50))
def test_never_never_ends(text):
    assert not NeverRule().terminates(text)


@given(st.text(st.sampled_from("a$ \n<>2"), max_size=20))
def test_rules_fire_only_where_their_trigger_lets_a_decoder_ask(text):
    for rule in [*map(TERMINATION_RULES.resolve, TERMINATION_RULES), RegexRule(r"\d\n", trigger="\n")]:
        assert isinstance(rule, OptionRule)
        if rule.terminates(text):
            assert text.endswith(rule.trigger)


class LineOfNoughts:
    """What a user's module may hold: a class, a rule, or a function that makes one."""

    name = "noughts"
    trigger = "0"

    def terminates(self, text: str) -> bool:
        return text.endswith("000")


def made_by_a_function() -> LineOfNoughts:
    return LineOfNoughts()


NOUGHTS, NO_RULE = LineOfNoughts(), 3


@pytest.mark.parametrize("name", ["token", "sentence", "option", r"regex:\d\n", f"{__name__}:LineOfNoughts"])
def test_rules_keep_the_contract(name):
    texts = ("1000002000\n",) if "Noughts" in name else SOLUTIONS
    check_termination_rule(TERMINATION_RULES.resolve(name), texts)


def test_rules_are_found_by_their_names():
    names = ["token", "sentence", "option"]
    assert [TERMINATION_RULES.resolve(name).name for name in TERMINATION_RULES] == names
    wrong = "termination rule must be one of token, sentence, option, regex:…, module:attribute, got 'word'"
    with pytest.raises(ValueError, match=wrong):
        TERMINATION_RULES.resolve("word")


def test_a_rule_may_be_a_regular_expression():
    rule = TERMINATION_RULES.resolve(r"regex:step: \d+\.")
    assert rule == RegexRule(r"step: \d+\.")
    assert rule.name == r"regex:step: \d+\."
    assert TERMINATION_RULES.resolve(rule.name) == rule
    assert split_options("step: 1.step: 23. end", rule) == ("step: 1.", "step: 23.", " end")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"expected a regular expression, got '\(': missing \)"),
        ("", "must not match the empty text, as '' does"),
        ("a*", "'a\\*'"),
    ],
)
def test_a_pattern_that_cannot_end_an_option_is_named(pattern, message):
    with pytest.raises(ValueError, match=message):
        TERMINATION_RULES.resolve(f"regex:{pattern}")


@pytest.mark.parametrize("attribute", ["LineOfNoughts", "NOUGHTS", "made_by_a_function"])
def test_a_rule_may_come_from_any_module(attribute):
    rule = TERMINATION_RULES.resolve(f"{__name__}:{attribute}")
    assert split_options("1000002000", rule) == ("1000", "002000")


def test_what_is_no_rule_is_named():
    with pytest.raises(ValueError, match=r"expected a rule with name, trigger and terminates.*got 3"):
        TERMINATION_RULES.resolve(f"{__name__}:NO_RULE")


def test_discount_is_per_option_or_per_token():
    option = Option("a b c", num_tokens=3)
    assert discount(option, 0.9, per_token=False) == 0.9
    assert math.isclose(discount(option, 0.9, per_token=True), 0.729)
    assert discount(Option("", 0), 0.9, per_token=True) == 1.0


def test_a_text_is_cut_into_options_of_which_the_last_may_be_open():
    assert split_options("a\n\nb\n#### 3", SentenceRule()) == ("a\n", "\nb\n", "#### 3")
    assert split_options("a\n", SentenceRule()) == ("a\n",)
    assert split_options("", SentenceRule()) == ()


@pytest.mark.parametrize("name", ["token", "sentence", "option", r"regex:\n", f"{__name__}:LineOfNoughts"])
def test_no_option_ends_within_a_thinking_part(name):
    rule = rule_after(TERMINATION_RULES.resolve(name), "")
    thought = "<think>\nLet $x = 1000$.\n\nSo $x = 1000"
    assert not rule.terminates(thought)
    assert not any(rule_after(rule, thought).terminates(".\n\n2000\n\n"[:end]) for end in range(1, 10))
    if name == "token":
        return  # a mark that is split over tokens is known at its last one
    pieces = split_options(f"{thought}$.\n\n</think>\nIt is $2000$.\n\n#### 2000\n", rule)
    assert pieces[0].startswith(f"{thought}$.\n\n</think>")


def test_an_option_never_holds_half_a_character():
    for rule in (TokenRule(), RegexRule(".")):
        assert not rule.terminates("\ufffd")
        assert not rule.terminates("a\ufffd")
        assert rule.terminates("\U0001f600")
