"""The interface of language models: requests, completions, and the protocols of what a backend may offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from alphallm_env.errors import ModelError
from alphallm_env.frozen import quick_init
from alphallm_env.mdp.options import TO_THE_END, OptionRule
from alphallm_env.runtime.operations import AsyncOperation, Operation, SteppedBatch, SteppedOperation
from alphallm_env.types import Option, StopReason


@quick_init
@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One text to generate after `prompt`. Temperature 0 is greedy, and then the seed is not used.

    A text ends before `stop_text`, unless that is empty, as if the model had ended it there.
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
        """Returns the part of `text` before `stop_text`, which may begin in the prompt; None where it does not occur.

        >>> GenerationRequest("1 + 1 = 2\\n", 0, 9, stop_text="\\nQuestion:").before_stop("Question: How many?")
        ''
        """
        if not self.stop_text:
            return None
        tail = self.prompt[max(0, len(self.prompt) - len(self.stop_text) + 1) :]
        found = (tail + text).find(self.stop_text)
        return None if found < 0 else text[: max(0, found - len(tail))]

    def stop_strings(self, written: str) -> list[str]:
        """Returns the strings at which a server must stop after `written`, so that β and the stop text are checked.

        Those are the trigger, the stop text, and the rest of a stop text that prompt and `written` end with a part of.

        >>> GenerationRequest("Answer:\\n", 0, 9, stop_text="\\nQuestion:").stop_strings("")
        ['\\nQuestion:', 'Question:']
        """
        trigger, before = self.rule.trigger, self.prompt + written
        sizes = [size for size in range(1, len(self.stop_text)) if before.endswith(self.stop_text[:size])]
        wanted = [trigger if "\0" not in trigger else "", self.stop_text, *(self.stop_text[size:] for size in sizes)]
        return [stop for stop in dict.fromkeys(wanted) if stop]


@quick_init
@dataclass(frozen=True, slots=True)
class Completion:
    """A generated text. `log_prob` is summed over its tokens, at temperature 1, in nats.

    `num_tokens` counts every token generated, an end-of-text token included.
    Of the prompt's tokens, `prompt_tokens` were computed for this request, and `saved_tokens` were cached or shared
    with other samples. Both are 0 where the backend does not report them.
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
    """Probabilities of the requested labels right after one prompt, not normalised to sum to 1."""

    probs: tuple[float, ...]
    num_tokens: int  # of the prompt
    saved_tokens: int = 0  # those of them that were cached and not computed


@dataclass(frozen=True, slots=True)
class Passage:
    """A prompt, and the lines after it whose tokens are to be scored."""

    prompt: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """The lowest log-probability of a token in each line, in nats; the passage's tokens, and those cached."""

    lowest: tuple[float, ...]
    num_tokens: int
    saved_tokens: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A text's hidden state, float32 [width]; the text's tokens, and the cached ones of them."""

    vector: NDArray[np.float32]
    num_tokens: int
    saved_tokens: int = 0


@runtime_checkable
class Embedder(Protocol):
    """A language model that exposes its hidden states."""

    @property
    def embedding_size(self) -> int:
        """The width of a hidden state."""
        ...

    def embed(self, prompts: Sequence[str]) -> list[Embedding]:
        """Returns, per prompt, the last hidden state at its last token, each entry in (-1, 1)."""
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """Generates text, and returns the probability that a label follows a prompt."""

    @property
    def name(self) -> str:
        """The model's name in the record of a run."""
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


class Generator(Protocol):
    """The part of a language model that generates text."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order."""
        ...


@runtime_checkable
class SteppedGeneration(Protocol):
    """A language model that decodes in steps: requests join and leave its batch between any two."""

    @property
    def stepped_batch(self) -> SteppedBatch[GenerationRequest, Completion]:
        """The batch that an engine steps, always the same one."""
        ...


@runtime_checkable
class AsyncGeneration(Protocol):
    """A language model that batches by itself, for callers on any event loop."""

    async def generate_async(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns what `generate` returns, without blocking."""
        ...


@runtime_checkable
class AsyncLabelling(Protocol):
    """A language model that batches queries for label probabilities by itself."""

    async def label_probs_async(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns what `label_probs` returns, without blocking."""
        ...


def generation(lm: Generator) -> Operation[GenerationRequest, Completion]:
    """Returns the operation that generates with a model: asynchronous or in steps where it can, else in batches."""
    if isinstance(lm, AsyncGeneration):
        return AsyncOperation(lm.generate_async)
    if isinstance(lm, SteppedGeneration):
        return SteppedOperation(lm.stepped_batch)
    return lm.generate


@runtime_checkable
class HasCache(Protocol):
    """A model or critic that caches what it has computed, such as keys and values of prefixes, or notes."""

    def clear_cache(self) -> None:
        """Empties the cache, so that later results equal those of a fresh process, to the last bit."""
        ...


def clear_caches(*parts: object) -> None:
    """Clears the caches of those of `parts` that have one."""
    for part in parts:
        if isinstance(part, HasCache):
            part.clear_cache()


@runtime_checkable
class Reproducible(Protocol):
    """A model or critic that declares whether its results depend on what is computed in the same batch."""

    @property
    def is_reproducible(self) -> bool:
        """Whether the same requests give the same texts and scores, whatever else is in their batch."""
        ...


def is_reproducible(*parts: object) -> bool:
    """Returns whether all of `parts` declare themselves reproducible; None among them is ignored.

    One that declares nothing counts as not reproducible.
    """
    return all(isinstance(part, Reproducible) and part.is_reproducible for part in parts if part is not None)


def first_label_tokens(
    labels: Sequence[str], encode: Callable[[Sequence[str]], Sequence[Sequence[int]]]
) -> tuple[int, ...]:
    """Returns the id of each label's first token. `encode` returns the token ids of texts, without special tokens.

    Raises ModelError if two labels begin with the same token, or one has no token.
    """
    # A space in front is read after a mark: at the start of a text some tokenizers make it a token of its own.
    marks = [":" if label.startswith(" ") else "" for label in labels]
    before = encode(marks)
    marked = encode([mark + label for mark, label in zip(marks, labels, strict=True)])
    tokens = [list(whole[len(start) :]) for start, whole in zip(before, marked, strict=True)]
    if not all(tokens):
        raise ModelError(f"expected labels of at least one token, got {tuple(labels)} -> {tokens}")
    ids = tuple(found[0] for found in tokens)
    if len(set(ids)) < len(ids):
        raise ModelError(f"expected labels with different first tokens, got {tuple(labels)} -> {tokens}")
    return ids
