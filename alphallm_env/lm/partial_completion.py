"""One request that a backend completes in pieces, checking β only after some of its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.local.vocabulary import Vocabulary
from alphallm_env.mdp.options import UNFINISHED
from alphallm_env.types import StopReason


class Writing:
    """The tokens generated so far for one request, and the reason why its text ends, once it does."""

    def __init__(self, request: GenerationRequest, vocabulary: Vocabulary, prompt_length: int = 0) -> None:
        """Of a prompt of `prompt_length` tokens, the text ends where the model's context does."""
        self.request = request
        room = request.max_tokens if vocabulary.context is None else vocabulary.context - prompt_length
        self.max_tokens = min(request.max_tokens, max(1, room))
        self.tokens: list[int] = []
        self.log_prob = 0.0
        self.tokens_read = 0  # computed before decoding: the prompt, and what was computed again to resume
        self.tokens_saved = 0  # of the prompt: cached and not computed
        self.stop_reason: StopReason | None = None
        self._vocabulary = vocabulary
        self._triggers = vocabulary.triggers(request.rule.trigger)
        self._stops = vocabulary.triggers(request.stop_text[-1]) if request.stop_text else None

    @property
    def num_tokens_left(self) -> int:
        """Tokens to generate in the next piece: one where β is checked after every token, else all that are left."""
        return 1 if not self.request.rule.trigger else self.max_tokens - len(self.tokens)

    def stop_ids(self) -> list[int]:
        """Returns the tokens after which the text may end. Empty where that is every token."""
        if not self.request.rule.trigger:
            return []
        may_stop = self._triggers if self._stops is None else self._triggers | self._stops
        return sorted({*may_stop.nonzero()[0].tolist(), *self._vocabulary.end_ids})

    def extend(self, tokens: Sequence[int], log_probs: Sequence[float]) -> None:
        """Appends tokens until the text ends; later ones are discarded."""
        for token, log_prob in zip(tokens, log_probs, strict=True):
            if self.stop_reason is None:
                self.tokens.append(token)
                self.log_prob += log_prob
                self.stop_reason = self._reason(token)

    def _reason(self, token: int) -> StopReason | None:
        if token in self._vocabulary.end_ids:
            return StopReason.END_OF_TEXT
        if self._stops is not None and self._stops[token] and self.request.before_stop(self.text) is not None:
            return StopReason.END_OF_TEXT
        if self._triggers[token] and self.request.rule.terminates(self.text):
            return StopReason.RULE
        return StopReason.LENGTH if len(self.tokens) >= self.max_tokens else None

    @property
    def text(self) -> str:
        """The decoded tokens, without an end-of-text token."""
        ends = self._vocabulary.end_ids
        return self._vocabulary.decode([token for token in self.tokens if token not in ends])

    def completion(self) -> Completion:
        """Returns the finished text, whole characters only. Raises RuntimeError while it has not ended."""
        if self.stop_reason is None:
            raise RuntimeError(f"expected a finished text, got {self.text!r}")
        before = self.request.before_stop(self.text)
        text = self.text.rstrip(UNFINISHED) if before is None else before
        return Completion(text, len(self.tokens), self.log_prob, self.stop_reason, self.tokens_read, self.tokens_saved)
