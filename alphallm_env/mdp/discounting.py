"""The discount between two states: γ for each option that β would have ended, or γ^τ for τ tokens."""

from __future__ import annotations

from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import OptionRule, discount, split_options
from alphallm_env.types import Option, State, StopReason


def num_options(option: Option, rule: OptionRule) -> int:
    r"""Returns how many options `rule` makes of one: what runs to the end of a solution is as deep as they are.

    >>> from alphallm_env.mdp.options import SentenceRule
    >>> num_options(Option("2 + 3 = 5\n5 * 2 = 10\n#### 10\n", 12, None, StopReason.END_OF_TEXT), SentenceRule())
    3
    """
    if option.stop_reason is StopReason.RULE:
        return 1
    return max(1, len(split_options(option.text, rule)))


def discount_of(option: Option, gamma: float, per_token: bool, rule: OptionRule) -> float:
    """Returns γ^k for an option that `rule` makes k options of, or γ^τ for one of τ tokens."""
    if gamma == 1.0:
        return 1.0
    return discount(option, gamma, per_token=True) if per_token else gamma ** num_options(option, rule)


def discount_between(start: State, end: State, rules: Rules, gamma: float | None = None) -> float:
    """Returns what a return at `end` is multiplied by to be one at `start`, a state before it: 1 where they are one.

    `gamma` is the rules' own where None.
    """
    gamma = rules.gamma if gamma is None else gamma
    if gamma == 1.0:
        return 1.0
    product = 1.0
    for state in end.path():
        if state is start or state.option is None:
            break
        product *= discount_of(state.option, gamma, rules.discount_per_token, rules.option_rule)
    return product
