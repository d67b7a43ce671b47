"""The decision process as pure functions: initial states, transitions, and how an episode ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from alphallm_env.errors import StateError
from alphallm_env.grading.extraction import stated_answer
from alphallm_env.mdp import options
from alphallm_env.mdp.options import OptionRule, SentenceRule
from alphallm_env.types import Ending, Option, Problem, State, StopReason, Transition


@dataclass(frozen=True)
class Rules:
    """The rules of every episode of an environment: termination rule β, budgets, discount.

    `max_options` and `max_tokens` count the whole episode; γ applies per option, or per token (γ^τ)
    where `discount_per_token` is set.
    """

    option_rule: OptionRule = field(default_factory=SentenceRule)
    max_options: int = 32
    max_tokens: int = 512
    max_option_tokens: int = 128
    gamma: float = 1.0
    discount_per_token: bool = False

    def __post_init__(self) -> None:
        for name in ("max_options", "max_tokens", "max_option_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not 0.0 <= self.gamma <= 1.0:
            raise ValueError(f"gamma must be in [0, 1], got {self.gamma}")


def initial_state(problem: Problem) -> State:
    """Returns the state before the first option. It holds the question and no answer."""
    return State(problem_id=problem.id, question=problem.question, verifier=problem.verifier)


def next_state(state: State, option: Option, rules: Rules) -> State:
    """Returns the state after `option`: deterministic, the option's text is appended.

    Raises StateError if the episode has ended already.
    """
    if state.ending is not None:
        raise StateError(f"expected a running state, got one that has ended: {state.ending.value}")
    return state.child(option, _ending(state, option, rules))


def transition(state: State, option: Option, rules: Rules) -> Transition:
    """Returns `next_state` with its discount. Raises StateError if the episode has ended already."""
    after = next_state(state, option, rules)
    terminated = after.ending is not None and after.ending.terminates
    factor = options.discount(option, rules.gamma, rules.discount_per_token)
    return Transition(after, 0.0 if terminated else factor)


def _ending(state: State, option: Option, rules: Rules) -> Ending | None:
    """Returns how the episode ends with `option`, None where it goes on.

    A finished line with a mark (`#### x`, a box) ends it wherever it stands. Where the text ends in any case, closed by
    the model or cut by a budget, it has answered if it states an answer of any kind.
    """
    closed = option.stop_reason is StopReason.END_OF_TEXT
    cut = _budget_used_up(state, option, rules)
    if not (closed or cut) and not _may_close(state, option):
        return None
    found = stated_answer(state.text + option.text)
    if found is not None and (found.closes or ((closed or cut) and not found.is_taken_back)):
        return Ending.ANSWERED
    return Ending.DEAD_END if closed else cut


def _budget_used_up(state: State, option: Option, rules: Rules) -> Ending | None:
    """Returns the ending by the budget that is used up after `option`, None where there is more."""
    if state.num_tokens + option.num_tokens >= rules.max_tokens:
        return Ending.OUT_OF_TOKENS
    return Ending.OUT_OF_OPTIONS if state.depth + 1 >= rules.max_options else None


def _may_close(state: State, option: Option) -> bool:
    """Returns whether `option` may finish a line with a mark. Cheap: most options need not be read with all before."""
    if "\n" not in option.text:
        return False
    tail = _open_line(state) + option.text
    return "####" in tail or "}" in tail or "boxed" in tail or "fbox" in tail or "nswer>" in tail


def _open_line(state: State) -> str:
    """Returns the text after the last newline: what the next option continues."""
    if state.option is None or state.option.text.endswith("\n"):
        return ""
    parts: list[str] = []
    earlier: State | None = state
    while earlier is not None and earlier.option is not None:
        _, newline, tail = earlier.option.text.rpartition("\n")
        parts.append(tail)
        if newline:
            break
        earlier = earlier.parent
    return "".join(reversed(parts))
