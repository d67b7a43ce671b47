"""β: the rules that end an option. Token, sentence and option level, and regular expressions.

A rule sees the option's own text only. Its `trigger` tells a decoder when to ask: β can fire only just
after a token whose text contains the trigger (every token where the trigger is empty).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from alphallm_env.types import Option

# A dollar sign opens a formula before visible text and closes one after it, unless a digit follows: so
# "$5 and $7" is money (the rule of pandoc).
_FORMULA = re.compile(r"\$(?!\s)[^$]+(?<!\s)\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]|<<[^>]*>>", re.DOTALL)
_BLANK_LINE = re.compile(r"\n[ \t]*\n$")


@runtime_checkable
class OptionRule(Protocol):
    """Decides where the text of an option ends."""

    @property
    def name(self) -> str:
        """The name that selects the rule on a command line and that a run's config records."""
        ...

    @property
    def trigger(self) -> str:
        """β can fire only after a token that contains this text."""
        ...

    def terminates(self, text: str) -> bool:
        """Returns whether an option that reads `text` ends here."""
        ...


@dataclass(frozen=True)
class TokenRule:
    """Every token is an option."""

    name: str = "token"
    trigger: str = ""

    def terminates(self, text: str) -> bool:
        """Returns True as soon as there is any text."""
        return bool(text)


@dataclass(frozen=True)
class SentenceRule:
    """An option is one line, as the paper has it for GSM8K. Blank lines join the next line."""

    name: str = "sentence"
    trigger: str = "\n"

    def terminates(self, text: str) -> bool:
        """Returns True at the first newline after some visible text."""
        return text.endswith("\n") and bool(text.strip())


@dataclass(frozen=True)
class FormulaRule:
    r"""The paper's option for MATH: ends at a blank line if the text holds a formula.

    A formula is `$…$`, `\(…\)`, `\[…\]` or a calculator mark `<<…>>`. Without one, the option goes on to
    the next blank line.
    """

    name: str = "option"
    trigger: str = "\n"

    def terminates(self, text: str) -> bool:
        """Returns True at a blank line that follows a formula."""
        return _BLANK_LINE.search(text) is not None and _FORMULA.search(text) is not None


@dataclass(frozen=True)
class RegexRule:
    """An option ends where the pattern matches at the end of its text."""

    pattern: str
    trigger: str = ""
    name: str = "regex"

    def terminates(self, text: str) -> bool:
        """Returns whether the pattern matches a suffix of `text`."""
        return re.search(f"(?:{self.pattern})\\Z", text) is not None


@dataclass(frozen=True)
class NeverRule:
    """An option runs to the end of the solution: what a rollout or a whole sample takes."""

    name: str = "never"
    trigger: str = "\0"

    def terminates(self, text: str) -> bool:  # noqa: ARG002
        """Returns False."""
        return False


TO_THE_END = NeverRule()
RULES: dict[str, OptionRule] = {"token": TokenRule(), "sentence": SentenceRule(), "option": FormulaRule()}


def option_rule(name: str) -> OptionRule:
    """Returns the rule of that name. Raises ValueError for an unknown one."""
    if name not in RULES:
        raise ValueError(f"option rule must be one of {', '.join(RULES)}, got {name!r}")
    return RULES[name]


def split_options(text: str, rule: OptionRule) -> tuple[str, ...]:
    """Returns the options that `rule` cuts a finished text into; the last one may be open."""
    steps: list[str] = []
    start = 0
    for end in range(1, len(text) + 1):
        if rule.trigger in text[end - 1 : end] and rule.terminates(text[start:end]):
            steps.append(text[start:end])
            start = end
    return (*steps, text[start:]) if start < len(text) else tuple(steps)


def discount(option: Option, gamma: float, per_token: bool) -> float:
    """Returns γ per option, or γ^τ for an option of τ tokens (semi-MDP; Sutton, Precup & Singh 1999).

    >>> discount(Option("a b c", num_tokens=3), 0.5, per_token=True)
    0.125
    """
    return gamma**option.num_tokens if per_token else gamma
