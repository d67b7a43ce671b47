"""Counts what models did for requests: on the current meter, by what their results say of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from alphallm_env.runtime.computing import Named, Pass
from alphallm_env.runtime.metering import Meter, Role, Work, current_meter


class Read(Protocol):
    """A result with the number of tokens that a model read for it."""

    @property
    def num_tokens(self) -> int:
        """Tokens of the text."""
        ...

    @property
    def saved_tokens(self) -> int:
        """Those of them that were cached and not computed."""
        ...


class Asked(Protocol):
    """A request for a text."""

    @property
    def prompt(self) -> str:
        """What the text goes on with."""
        ...


class Written(Protocol):
    """A result with the numbers of tokens generated for it and of its prompt."""

    @property
    def text(self) -> str:
        """What was generated."""
        ...

    @property
    def num_tokens(self) -> int:
        """Tokens generated."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt that were computed."""
        ...

    @property
    def saved_tokens(self) -> int:
        """Tokens of the prompt that were cached, or shared with other samples."""
        ...


def count_generated(role: Role, model: Named, requests: Sequence[Asked], results: Sequence[Written]) -> None:
    """Counts on the current meter what a model generated in this role."""
    tokens = prefilled = saved = 0
    passes: list[Pass] = []
    for request, result in zip(requests, results, strict=True):
        tokens += result.num_tokens
        prefilled += result.prompt_tokens
        saved += result.saved_tokens
        passes.append((request.prompt, result.prompt_tokens + result.saved_tokens, result.text, result.num_tokens))
    meter = current_meter()
    meter.generated(role, tokens, prefilled, saved)
    meter.computed(model, passes)


def count_scored(model: Named, texts: Sequence[str], results: Sequence[Read]) -> None:
    """Counts on the current meter what a critic had its model read."""
    meter = current_meter()
    prefilled, saved = _count_passes(meter, model, texts, results)
    meter.generated(Role.CRITIC, 0, prefilled, saved)


def count_read(role: Role, model: Named, texts: Sequence[str], results: Sequence[Read]) -> None:
    """Counts on the current meter what a model read, in the ledger and as computed, not as tokens scored."""
    meter = current_meter()
    prefilled, saved = _count_passes(meter, model, texts, results)
    meter.worked(role, Work(prefilled=prefilled, saved=saved))


def _count_passes(meter: Meter, model: Named, texts: Sequence[str], results: Sequence[Read]) -> tuple[int, int]:
    """Counts what a model computes for texts, and returns how many tokens it read, and how many it had cached."""
    meter.computed(model, [(text, result.num_tokens, "", 0) for text, result in zip(texts, results, strict=True)])
    saved = sum(result.saved_tokens for result in results)
    return sum(result.num_tokens for result in results) - saved, saved
