"""One request that a backend completes in pieces, and asks β only after some of its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.local.vocabulary import Vocabulary
from alphallm_env.types import StopReason


class Writing:
    """The tokens written so far for one request, and whether its text ends with them."""

    def __init__(self, request: GenerationRequest, vocabulary: Vocabulary) -> None:
        self.request = request
        self.tokens: list[int] = []
        self.log_prob = 0.0
        self.tokens_read = 0  # to write what there is, the text's own tokens left out
        self.tokens_saved = 0  # of the prompt: cached, and not read
        self.stop_reason: StopReason | None = None
        self._vocabulary = vocabulary
        self._triggers = vocabulary.triggers(request.rule.trigger)
        self._stops = vocabulary.triggers(request.stop_text[-1]) if request.stop_text else None

    @property
    def num_tokens_left(self) -> int:
        """Tokens that may still be written; at most one at a time where β is asked after every token."""
        return 1 if not self.request.rule.trigger else self.request.max_tokens - len(self.tokens)

    def stop_ids(self) -> list[int]:
        """Returns the tokens after which the text may end. Empty where that is every token."""
        if not self.request.rule.trigger:
            return []
        may_stop = self._triggers if self._stops is None else self._triggers | self._stops
        return sorted({*may_stop.nonzero()[0].tolist(), *self._vocabulary.end_ids})

    def extend(self, tokens: Sequence[int], log_probs: Sequence[float]) -> None:
        """Appends tokens until the text ends; what comes after its end is left out."""
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
        return StopReason.LENGTH if len(self.tokens) >= self.request.max_tokens else None

    @property
    def text(self) -> str:
        """What the tokens spell, without an end-of-text token."""
        ends = self._vocabulary.end_ids
        return self._vocabulary.decode([token for token in self.tokens if token not in ends])

    def completion(self) -> Completion:
        """Returns what was written. Raises RuntimeError while the text has no end."""
        if self.stop_reason is None:
            raise RuntimeError(f"expected a finished text, got {self.text!r}")
        before = self.request.before_stop(self.text)
        text = self.text if before is None else before
        return Completion(text, len(self.tokens), self.log_prob, self.stop_reason, self.tokens_read, self.tokens_saved)
