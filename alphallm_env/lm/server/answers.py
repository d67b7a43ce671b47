"""Parses a server's answer: its text, its tokens and their log-probabilities, and why it ended.

There are three formats of log-probabilities: that of OpenAI's completions (vLLM, SGLang, llama-cpp-python), that of its
chat (llama.cpp), and none at all (`transformers serve`). An answer that breaks the format raises `AnswerError`, so that
the request is retried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast


class AnswerError(ValueError):
    """A malformed answer: another shape, a missing field, an impossible number."""


@dataclass(frozen=True, slots=True)
class AnswerToken:
    """A token of the answer. `log_prob` is None for the first of an echoed prompt."""

    text: str
    log_prob: float | None
    top: dict[str, float]  # the most probable tokens at its position, and their log-probabilities


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion as a server returned it."""

    text: str
    was_cut: bool  # by max_tokens
    named_stop: str  # the stop string that ended it, where the server reports it (vLLM, SGLang)
    tokens: tuple[AnswerToken, ...] | None  # None where the server returns no log-probabilities
    num_tokens: int
    prompt_tokens: int
    cached_tokens: int | None  # None where the server does not report them
    ids: tuple[int, ...] | None = None  # of prompt and text; None where the server does not return them

    @property
    def ends_inside_character(self) -> bool:
        """Whether it was cut after a token that holds a part of a character only.

        Servers write such a token as the replacement character, or leave it out (vLLM).
        """
        last = self.tokens[-1].text if self.tokens else ""
        return self.was_cut and (self.text.endswith("\ufffd") or (bool(self.tokens) and not last))

    def stopped_text(self, stops: Sequence[str]) -> str | None:
        """Returns the text up to and including its last token if a stop string ended it, else None.

        Most servers cut the text before the stop string; it, and what its last token holds after it, are still in
        the tokens. `transformers serve` does not cut.
        """
        if any(stop in self.text for stop in stops):
            return self.text
        written = "".join(token.text for token in self.tokens or ())
        found = [stop for stop in stops if stop in written]
        if not found and not self.named_stop:
            return None
        stop = self.named_stop or min(found, key=written.index)
        return self.text + stop + written.partition(stop)[2]


def read_answer(body: object) -> Answer:
    """Returns the only choice of a completion. Raises AnswerError if `body` is malformed."""
    choices = _list(_field(body, "choices"), "choices")
    if len(choices) != 1:
        raise AnswerError(f"expected 1 choice, got {len(choices)}")
    choice = choices[0]
    reason = _field(choice, "finish_reason")
    if reason not in ("stop", "length"):
        raise AnswerError(f"expected finish_reason stop or length, got {reason!r}")
    usage = _field(body, "usage")
    details = _optional(usage, "prompt_tokens_details")
    cached = None if details is None else _optional(details, "cached_tokens")
    named = _optional(choice, "stop_reason") or _optional(choice, "matched_stop")
    return Answer(
        text=_text(_field(choice, "text")),
        was_cut=reason == "length",
        named_stop=named if isinstance(named, str) else "",
        tokens=_tokens(_optional(choice, "logprobs")),
        num_tokens=_count(_field(usage, "completion_tokens")),
        prompt_tokens=_count(_field(usage, "prompt_tokens")),
        cached_tokens=None if cached is None else _count(cached),
        ids=_ids(_optional(choice, "prompt_token_ids"), _optional(choice, "token_ids")),
    )


def _ids(prompt: object, written: object) -> tuple[int, ...] | None:
    if prompt is None or written is None:
        return None
    return tuple(_count(token) for token in [*_list(prompt, "token ids"), *_list(written, "token ids")])


def _tokens(log_probs: object) -> tuple[AnswerToken, ...] | None:
    if log_probs is None:
        return None
    if (content := _optional(log_probs, "content")) is not None:
        return tuple(_chat_token(entry) for entry in _list(content, "content"))
    if _optional(log_probs, "tokens") is None:
        return None
    texts = _list(_field(log_probs, "tokens"), "tokens")
    values = _list(_field(log_probs, "token_logprobs"), "token_logprobs")
    tops = _list(_optional(log_probs, "top_logprobs") or [None] * len(texts), "top_logprobs")
    if not len(texts) == len(values) == len(tops):
        raise AnswerError(f"expected as many log-probabilities as tokens, got {len(values)} for {len(texts)}")
    return tuple(
        AnswerToken(_text(text), None if value is None else _log_prob(value), _top(top))
        for text, value, top in zip(texts, values, tops, strict=True)
    )


def _chat_token(entry: object) -> AnswerToken:
    alternatives = _list(_optional(entry, "top_logprobs") or [], "top_logprobs")
    top = {_text(_field(other, "token")): _log_prob(_field(other, "logprob")) for other in alternatives}
    return AnswerToken(_text(_field(entry, "token")), _log_prob(_field(entry, "logprob")), top)


def _top(top: object) -> dict[str, float]:
    if top is None:
        return {}
    if not isinstance(top, dict):
        raise AnswerError(f"expected top_logprobs by token, got {top!r:.80}")
    return {str(text): _log_prob(value) for text, value in cast("dict[object, object]", top).items()}


def _optional(record: object, name: str) -> object:
    if not isinstance(record, dict):
        raise AnswerError(f"expected an object with {name!r}, got {record!r:.80}")
    return cast("dict[str, object]", record).get(name)


def _field(record: object, name: str) -> object:
    value = _optional(record, name)
    if value is None:
        raise AnswerError(f"expected {name!r} in {record!r:.80}")
    return value


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise AnswerError(f"expected a list of {name}, got {value!r:.80}")
    return cast("list[object]", value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise AnswerError(f"expected text, got {value!r:.80}")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise AnswerError(f"expected a number of tokens, got {value!r:.80}")
    return value


def _log_prob(value: object) -> float:
    """Returns a finite log-probability <= 0; a value above it by rounding, at most 1e-3, becomes 0."""
    if not isinstance(value, int | float) or not math.isfinite(value) or value > 1e-3:
        raise AnswerError(f"expected a log-probability <= 0, got {value!r:.80}")
    return min(0.0, float(value))
