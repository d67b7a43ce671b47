"""What a language model is to this library: requests in, completions out, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from alphallm_env.mdp.options import TO_THE_END, OptionRule
from alphallm_env.types import Option, StopReason


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One text to write after `prompt`. Temperature 0 is greedy, and then the seed is not used.

    A text ends before `stop_text`, unless that is empty, as if the model had closed it there.
    """

    prompt: str
    seed: int
    max_tokens: int
    rule: OptionRule = TO_THE_END
    temperature: float = 1.0
    stop_text: str = ""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be >= 1, got {self.max_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be >= 0, got {self.temperature}")

    def before_stop(self, text: str) -> str | None:
        """Returns what `text` holds before `stop_text`, None where that is not in it. It may begin in the prompt.

        >>> GenerationRequest("1 + 1 = 2\\n", 0, 9, stop_text="\\nQuestion:").before_stop("Question: How many?")
        ''
        """
        if not self.stop_text:
            return None
        tail = self.prompt[max(0, len(self.prompt) - len(self.stop_text) + 1) :]
        found = (tail + text).find(self.stop_text)
        return None if found < 0 else text[: max(0, found - len(tail))]


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote. `log_prob` is summed over its tokens, at temperature 1, in nats.

    `num_tokens` counts every token generated, an end-of-text token included.
    Of the prompt's tokens `prompt_tokens` were computed for this request and `saved_tokens` were not, as they were
    known from earlier requests or are shared with other samples. Both are 0 where the backend does not tell.
    """

    text: str
    num_tokens: int
    log_prob: float
    stop_reason: StopReason
    prompt_tokens: int = 0
    saved_tokens: int = 0

    def as_option(self) -> Option:
        """Returns the completion as the option that it realises."""
        return Option(self.text, self.num_tokens, self.log_prob, self.stop_reason)


@dataclass(frozen=True, slots=True)
class LabelProbs:
    """Probabilities of the asked labels right after one prompt, not normalised among themselves."""

    probs: tuple[float, ...]
    num_tokens: int  # of the prompt
    saved_tokens: int = 0  # of them, those that were known and not computed


@dataclass(frozen=True, slots=True)
class Passage:
    """A prompt, and the lines whose likelihood after it is asked for."""

    prompt: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """The lowest log-probability of a token in each line, in nats, the passage's tokens and those known before."""

    lowest: tuple[float, ...]
    num_tokens: int
    saved_tokens: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What a model makes of a text: float32 [width], the text's tokens, and those of them that were known before."""

    vector: NDArray[np.float32]
    num_tokens: int
    saved_tokens: int = 0


@runtime_checkable
class Embedder(Protocol):
    """A language model that shows its hidden states."""

    @property
    def embedding_size(self) -> int:
        """The width of a hidden state."""
        ...

    def embed(self, prompts: Sequence[str]) -> list[Embedding]:
        """Returns, per prompt, the last hidden state at its last token, each entry in (-1, 1)."""
        ...


@runtime_checkable
class HasCache(Protocol):
    """Keeps what it worked out for earlier calls, such as keys and values of prefixes, or notes."""

    def clear_cache(self) -> None:
        """Drops it, so that what comes next is computed as in a fresh process, to the last bit."""
        ...


def clear_caches(*parts: object) -> None:
    """Lets those of `parts` forget that remember anything."""
    for part in parts:
        if isinstance(part, HasCache):
            part.clear_cache()


def is_reproducible(*parts: object) -> bool:
    """Returns whether none of `parts` says of itself that its answers depend on what is computed beside them."""
    return all(getattr(part, "is_reproducible", True) for part in parts)


@runtime_checkable
class LanguageModel(Protocol):
    """Writes text and tells how likely a label is to follow a prompt."""

    @property
    def name(self) -> str:
        """What a run's record calls this model."""
        ...

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order."""
        ...

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns, per prompt, the probability of each label's first token as the next token.

        Raises ModelError if two labels begin with the same token.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the model's tokenizer makes of `text`."""
        ...
