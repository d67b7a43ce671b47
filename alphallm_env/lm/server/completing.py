"""Generates one completion on a server. β is checked here: its trigger is the stop string, and where β does not
fire a further request resumes the text. A rule without a trigger costs one request per token.

A character may be split over tokens. Where an answer ends inside one, the request is repeated with a token more; where
no token is left, the text ends before the character.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from alphallm_env.errors import ServerError
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.server.answers import Answer
from alphallm_env.lm.server.pool import RefusedError, ServerPool
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import StopReason

_SEEDS = 2**31  # servers keep a seed in 32 bits, some of them signed
_SHOWN = 60  # characters of a prompt in an error
_MOST_PIECES = 4  # tokens of one character, at most one for each of its bytes
_HALF = "\ufffd"  # what a part of a character is decoded to
_CONTEXT_ENDS = re.compile(
    r"context (length|window|size)|max_model_len|maximum (context|model|sequence)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Draft:
    """The text generated so far for one completion, and the tokens read for it."""

    text: str = ""
    num_tokens: int = 0
    log_prob: float = 0.0
    prompt_tokens: int = 0  # of the first request
    computed_tokens: int | None = 0  # in all requests, without cached ones; None where the server does not report them
    ids: tuple[int, ...] | None = None  # of prompt and text, to resume by: a text may be cut into other tokens

    def with_answer(self, answer: Answer, text: str, log_prob: float) -> Draft:
        """Returns the draft with the next answer, whose text up to its last token is `text`."""
        computed = None
        if self.computed_tokens is not None and answer.cached_tokens is not None:
            computed = self.computed_tokens + answer.prompt_tokens - answer.cached_tokens
        return Draft(
            text=self.text + text,
            num_tokens=self.num_tokens + answer.num_tokens,
            log_prob=self.log_prob + log_prob,
            prompt_tokens=self.prompt_tokens or answer.prompt_tokens,
            computed_tokens=computed,
            ids=answer.ids,
        )

    def completion(self, request: GenerationRequest, reason: StopReason) -> Completion:
        """Returns the finished completion. Some servers do not count the token that ends a text."""
        before = request.before_stop(self.text)
        text = self.text if before is None else before
        prompt_tokens = self.prompt_tokens if self.computed_tokens is None else self.computed_tokens
        saved = max(0, self.prompt_tokens - prompt_tokens)
        return Completion(text, max(1, self.num_tokens), self.log_prob, reason, prompt_tokens, saved)


def shown(prompt: str, seed: int | None = None) -> str:
    """Returns the description of a request in errors.

    >>> shown("How many pencils are whole?", 3)
    "the request with seed 3 after '…How many pencils are whole?'"
    """
    seeded = "" if seed is None else f" with seed {seed}"
    return f"the request{seeded} after {'…' + prompt[-_SHOWN:]!r}"


async def write(pool: ServerPool, request: GenerationRequest) -> tuple[Draft, StopReason]:
    """Returns the draft of a whole completion and why it ended. Raises ServerError if it cannot be completed."""
    about = shown(request.prompt, request.seed)
    draft = Draft()
    while True:
        stops = request.stop_strings(draft.text)
        left = request.max_tokens - draft.num_tokens
        body = {
            "prompt": list(draft.ids) if draft.ids else request.prompt + draft.text,
            "seed": derive_seed(request.seed, draft.num_tokens) % _SEEDS,
            "max_tokens": left if request.rule.trigger else 1,
            "temperature": request.temperature,
            "logprobs": 1,
        }
        try:
            answer = await _answer(pool, {**body, "stop": stops} if stops else body, left, about)
        except RefusedError as refused:
            if draft.num_tokens and _CONTEXT_ENDS.search(str(refused)):
                return draft, StopReason.LENGTH
            raise
        stopped = answer.stopped_text(stops)
        text = answer.text if stopped is None else stopped
        draft = draft.with_answer(answer, text.rstrip(_HALF), summed_log_prob(answer, pool.name, about))
        if (reason := _reason(request, draft, stopped is not None, answer.was_cut)) is not None:
            return draft, reason
        if answer.prompt_tokens + answer.num_tokens >= (pool.max_model_len or math.inf):
            return draft, StopReason.LENGTH
        if answer.num_tokens == 0:
            raise ServerError(f"{pool.name}: an answer of no tokens that does not end, to {about}")


async def _answer(pool: ServerPool, body: Mapping[str, object], left: int, about: str) -> Answer:
    """Returns the answer to a completion request, with some tokens more where it would end inside a character.

    Those are at most `left` in all. The same seed draws the tokens before them again.
    """
    answer = await pool.complete(body, about)
    asked = cast(int, body["max_tokens"])
    for more in range(1, _MOST_PIECES):
        if not answer.ends_inside_character or asked + more > left:
            break
        answer = await pool.complete({**body, "max_tokens": asked + more}, about)
    return answer


def summed_log_prob(answer: Answer, server: str, about: str) -> float:
    """Returns the sum over the tokens. Raises ServerError where one has no log-probability."""
    if answer.tokens is None:
        raise ServerError(f"{server} gives no log-probabilities with its completions; they were asked for {about}")
    known = [token.log_prob for token in answer.tokens if token.log_prob is not None]
    if len(known) < answer.num_tokens:
        missing = f"log-probabilities of {len(known)} of {answer.num_tokens} tokens only"
        raise ServerError(f"{server} gives {missing}, in answer to {about}")
    return sum(known)


def _reason(request: GenerationRequest, draft: Draft, stopped: bool, was_cut: bool) -> StopReason | None:
    """Returns why the text ends after an answer, None where it has to be resumed."""
    if request.before_stop(draft.text) is not None or not (stopped or was_cut):
        return StopReason.END_OF_TEXT
    has_trigger = bool(request.rule.trigger)
    if (stopped or not has_trigger) and request.rule.terminates(draft.text):
        return StopReason.RULE
    cut_by_context = was_cut and has_trigger and not stopped
    return StopReason.LENGTH if cut_by_context or draft.num_tokens >= request.max_tokens else None
