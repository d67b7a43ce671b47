"""β: the termination rules of options. Token, sentence and option level, regular expressions, and a user's own.

A rule depends on the option's own text only, and the rules here on what of it stands outside of thinking parts: no
option ends within one, nor within a character that the tokens of a text have not finished.

A decoder checks it only after a token whose text contains the rule's
`trigger`, a character (after every token where the trigger is empty).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from alphallm_env.grading.extraction.thinking import open_mark, outside_thinking
from alphallm_env.registry import Registry
from alphallm_env.types import Option

# A dollar sign opens a formula before visible text and closes one after it, unless a digit follows: so
# "$5 and $7" is money (the rule of pandoc).
_FORMULA = re.compile(r"\$(?!\s)[^$]+(?<!\s)\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]|<<[^>]*>>", re.DOTALL)
UNFINISHED = "\ufffd"  # what the first bytes of a character decode to
_BLANK_LINE = re.compile(r"\n[ \t]*\n$")


@runtime_checkable
class OptionRule(Protocol):
    """Decides where the text of an option ends: the termination function β. Plain attributes satisfy the properties."""

    @property
    def name(self) -> str:
        """The name of the rule, as errors and records show it."""
        ...

    @property
    def trigger(self) -> str:
        """The character that a token must contain for β to fire after it; empty where any token will do."""
        ...

    def terminates(self, text: str) -> bool:
        """Returns whether an option that reads `text` ends here."""
        ...


def said(text: str) -> str:
    """Returns what of an option's text a rule reads: "" within a thinking part or a character, where no option ends.

    >>> said("<think>2 + 2\\n</think>It is 4.\\n"), said("<think>2 + 2\\n")
    ('It is 4.\\n', '')
    """
    return "" if text.endswith(UNFINISHED) else outside_thinking(text) or ""


@dataclass(frozen=True)
class TokenRule:
    """Every token is an option."""

    name: str = "token"
    trigger: str = ""

    def terminates(self, text: str) -> bool:
        """Returns True as soon as there is any text."""
        return bool(said(text))


@dataclass(frozen=True)
class SentenceRule:
    """An option is one line, as in Tian et al. 2024 for GSM8K. Blank lines join the next line."""

    name: str = "sentence"
    trigger: str = "\n"

    def terminates(self, text: str) -> bool:
        """Returns True at the first newline after some visible text."""
        return text.endswith("\n") and bool(said(text).strip())


@dataclass(frozen=True)
class FormulaRule:
    r"""An option ends at a blank line if its text holds a formula, as in Tian et al. 2024 for MATH.

    A formula is `$…$`, `\(…\)`, `\[…\]` or a calculator mark `<<…>>`. Without one, the option extends to
    the next blank line.
    """

    name: str = "option"
    trigger: str = "\n"

    def terminates(self, text: str) -> bool:
        """Returns True at a blank line that follows a formula."""
        shown = said(text)
        return _BLANK_LINE.search(shown) is not None and _FORMULA.search(shown) is not None


@dataclass(frozen=True)
class RegexRule:
    """An option ends where the pattern matches at the end of its text. Raises ValueError for an invalid pattern."""

    pattern: str
    trigger: str = ""
    name: str = ""  # regex:PATTERN where it is empty

    def __post_init__(self) -> None:
        try:
            matches_empty = re.search(self._suffix, "") is not None
        except re.error as error:
            raise ValueError(f"expected a regular expression, got {self.pattern!r}: {error}") from error
        if matches_empty:
            raise ValueError(f"a pattern that ends an option must not match the empty text, as {self.pattern!r} does")
        if not self.name:
            object.__setattr__(self, "name", f"regex:{self.pattern}")

    @property
    def _suffix(self) -> str:
        return f"(?:{self.pattern})\\Z"

    def terminates(self, text: str) -> bool:
        """Returns whether the pattern matches a suffix of `text`."""
        shown = said(text)
        return bool(shown) and re.search(self._suffix, shown) is not None


@dataclass(frozen=True)
class NeverRule:
    """An option runs to the end of the solution: for rollouts and whole samples."""

    name: str = "never"
    trigger: str = "\0"

    def terminates(self, text: str) -> bool:  # noqa: ARG002
        """Returns False."""
        return False


TO_THE_END = NeverRule()


@dataclass(frozen=True)
class OutsideThinking:
    """Any rule, applied to what stands outside of thinking parts. `opened` marks the part that is open before."""

    rule: OptionRule
    opened: str = ""

    @property
    def name(self) -> str:
        """The name of the rule."""
        return self.rule.name

    @property
    def trigger(self) -> str:
        """The trigger of the rule."""
        return self.rule.trigger

    def terminates(self, text: str) -> bool:
        """Returns whether the rule ends an option that reads as `text` does without its thinking parts."""
        shown = said(self.opened + text)
        return bool(shown) and self.rule.terminates(shown)


_READS_THINKING = (TokenRule, SentenceRule, FormulaRule, RegexRule, NeverRule, OutsideThinking)


def rule_after(rule: OptionRule, before: str) -> OptionRule:
    """Returns the rule for an option that continues the solution `before`, which may end in a thinking part."""
    opened = open_mark(before)
    return rule if not opened and isinstance(rule, _READS_THINKING) else OutsideThinking(rule, opened)


def _as_rule(found: object) -> OptionRule:
    """Returns a rule; calls a class or function without arguments to make one. Raises TypeError for anything else."""
    made = found() if isinstance(found, type) or (not isinstance(found, OptionRule) and callable(found)) else found
    if not isinstance(made, OptionRule):
        raise TypeError(f"expected a rule with name, trigger and terminates(text), got {made!r}")
    return made


TERMINATION_RULES: Registry[OptionRule] = Registry(
    "termination rule",
    {"token": TokenRule(), "sentence": SentenceRule(), "option": FormulaRule()},
    _as_rule,
    families={"regex": RegexRule},
)


def split_options(text: str, rule: OptionRule) -> tuple[str, ...]:
    """Returns the options that `rule` cuts a finished text into; the last one may be open."""
    rule = rule_after(rule, "")
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
