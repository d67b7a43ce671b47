"""Label probabilities from a server: by token ids, or looked up among the most probable next tokens, else in an echo.

vLLM returns the log-probabilities of the tokens that a request names: one request for all labels. Other servers show
the likeliest tokens, and a rarer label is read from an echoed prompt. A label whose probability the server does not
return is an error. It is never taken to be 0.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from alphallm_env.errors import ModelError, ServerError
from alphallm_env.lm.base import LabelProbs, first_label_tokens
from alphallm_env.lm.server.answers import Answer, AnswerToken
from alphallm_env.lm.server.completing import shown
from alphallm_env.lm.server.pool import RefusedError, ServerPool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SAME = 0.1  # nats within which a log-probability, obtained in two ways, must agree
_ID = "token_id:{}"  # how vLLM writes a token where it is asked for ids

Tokenize = Callable[[str], Awaitable[list[int]]]  # a text -> its tokens' ids, without special tokens


@dataclass(frozen=True, slots=True)
class LabelTokens:
    """The first token of each label: their texts, and their ids where they are known."""

    texts: tuple[str, ...]
    ids: tuple[int, ...] | None = None


def first_tokens(labels: Sequence[str], tokenizer: PreTrainedTokenizerBase | None) -> LabelTokens:
    """Returns each label's first token; without a tokenizer a label is assumed to be one token.

    Raises ModelError if two labels begin with the same token, or may do so, or one has no token.
    """
    if tokenizer is None:
        alike = any(a is not b and b.startswith(a) for a in labels for b in labels)
        if alike or len(set(labels)) < len(labels):
            raise ModelError(f"expected labels with different first tokens, got {tuple(labels)}")
        return LabelTokens(tuple(labels))

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [cast("list[int]", tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]

    ids = first_label_tokens(labels, encode)
    return LabelTokens(tuple(str(tokenizer.decode([token])) for token in ids), ids)


class LabelReader:
    """Queries the servers of one pool for the probabilities of labels. `tokenize` asks them for a text's tokens."""

    def __init__(self, pool: ServerPool, top_log_probs: int, tokenize: Tokenize) -> None:
        self._pool = pool
        self._top_log_probs = top_log_probs
        self._tokenize = tokenize
        self._scores_ids: bool | None = None  # None until its kind is known
        self._first_tokens: dict[tuple[str, ...], LabelTokens] = {}
        self._echo_is_right = False  # until it was checked

    async def first_tokens(self, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase | None) -> LabelTokens:
        """Returns each label's first token, with ids from the tokenizer, or else from a server that scores ids."""
        key = tuple(labels)
        if key not in self._first_tokens:
            found = first_tokens(labels, tokenizer)
            if self._scores_ids is None:
                kind = await self._pool.kind(f"the probabilities of {key}")
                self._scores_ids = kind.scores_token_ids
            if found.ids is None and self._scores_ids:
                found = LabelTokens(found.texts, await self._ids(labels))
            self._first_tokens[key] = found
        return self._first_tokens[key]

    async def _ids(self, labels: Sequence[str]) -> tuple[int, ...] | None:
        """Returns the id of each label's first token by the server's own tokenizer, None where it does not tell."""
        texts = {text for label in labels for text in (label, ":", ":" + label)}
        try:
            encoded = {text: await self._tokenize(text) for text in sorted(texts)}
        except ServerError:
            return None
        return first_label_tokens(labels, lambda several: [encoded[text] if text else [] for text in several])

    async def read(self, prompt: str, labels: Sequence[str], tokens: LabelTokens) -> LabelProbs:
        """Returns the probabilities of the labels' first tokens after `prompt`."""
        if tokens.ids is not None and self._scores_ids:
            found = await self._by_id(prompt, tokens.ids)
            if found is not None:
                return found
        return await self._among_likeliest(prompt, labels, tokens.texts)

    async def _by_id(self, prompt: str, ids: tuple[int, ...]) -> LabelProbs | None:
        """Returns the probabilities of tokens by their ids; None from a server that does not return them."""
        body = {
            "prompt": prompt,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": 1,
            "logprob_token_ids": list(ids),
            "return_tokens_as_token_ids": True,
        }
        try:
            answer = await self._pool.complete(body, shown(prompt))
        except RefusedError:
            return None  # asked in the other way, a server says why
        top = answer.tokens[0].top if answer.tokens else {}
        found = [top.get(_ID.format(token)) for token in ids]
        log_probs = [log_prob for log_prob in found if log_prob is not None]
        if len(log_probs) < len(ids):
            self._scores_ids = False  # an older version, which leaves out fields that it does not know
            return None
        return LabelProbs(tuple(map(math.exp, log_probs)), answer.prompt_tokens, answer.cached_tokens or 0)

    async def _among_likeliest(self, prompt: str, labels: Sequence[str], tokens: Sequence[str]) -> LabelProbs:
        about = shown(prompt)
        body = {"prompt": prompt, "max_tokens": 1, "temperature": 0.0, "logprobs": self._top_log_probs}
        answer = await self._pool.complete(body, about)
        if answer.tokens is None:
            raise ServerError(
                f"{self._pool.name} gives no log-probabilities, neither of the likeliest next tokens nor of a "
                f"prompt: the probabilities of {tuple(labels)} cannot be had, in {about}"
            )
        likeliest = answer.tokens[0] if answer.tokens else None
        num_tokens = answer.prompt_tokens
        log_probs: list[float] = []
        for label, token in zip(labels, tokens, strict=True):
            log_prob = likeliest.top.get(token) if likeliest else None
            if log_prob is None:
                if (why_not := await self._why_not_echo(prompt, likeliest, about)) is not None:
                    raise self._missing(label, why_not, about)
                log_prob, read = await self._echoed(prompt, label, about)
                if log_prob is None:
                    raise self._missing(label, "it begins inside a token of the echoed prompt", about)
                num_tokens += read
            log_probs.append(log_prob)
        return LabelProbs(tuple(map(math.exp, log_probs)), num_tokens)

    def _missing(self, label: str, why_not: str, about: str) -> ServerError:
        where = f"{label!r} is not among the {self._top_log_probs} likeliest tokens, and {why_not}"
        return ServerError(f"{self._pool.name}: {where}, in {about}")

    async def _why_not_echo(self, prompt: str, likeliest: AnswerToken | None, about: str) -> str | None:
        """Returns why log-probabilities of a prompt cannot be used, None where they can.

        They must agree with those of the next token. On llama-cpp-python they do not, for a model without a bos
        token: there they are shifted by one token.
        """
        if self._echo_is_right:
            return None
        if likeliest is None or likeliest.log_prob is None or not likeliest.text:
            return "there is no token to check the log-probabilities of a prompt with"
        echoed, _ = await self._echoed(prompt, likeliest.text, about)
        if echoed is None:
            return "the server gives no log-probabilities of a prompt"
        if abs(echoed - likeliest.log_prob) > _SAME:
            both = f"{likeliest.text!r} has {likeliest.log_prob:.3f} as the next token and {echoed:.3f} in it"
            return f"the log-probabilities of a prompt are not those of its tokens ({both})"
        self._echo_is_right = True
        return None

    async def _echoed(self, prompt: str, label: str, about: str) -> tuple[float | None, int]:
        """Returns the log-probability of the label's first token in an echoed prompt, and the tokens read.

        The log-probability is None where the server echoes none, or the label does not begin a token.
        """
        body = {"prompt": prompt + label, "max_tokens": 1, "temperature": 0.0, "logprobs": 1, "echo": True}
        answer = await self._pool.complete(body, about)
        token = _first_token_of(label, answer)
        return (None if token is None else token.log_prob), answer.prompt_tokens


def _first_token_of(label: str, answer: Answer) -> AnswerToken | None:
    """Returns the token with which `label` begins at the end of the echoed prompt, None if there is none."""
    if not answer.tokens or label not in answer.text:
        return None
    text = ""
    for token in reversed(answer.tokens[: len(answer.tokens) - answer.num_tokens]):
        text = token.text + text
        if text == label:
            return token
        if not label.endswith(text):
            return None
    return None
