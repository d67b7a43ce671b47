"""The input of probes: hidden states of a language model, and checks of the calculations in a solution.

The model prefills question and solution in its own format. A probe reads the hidden state at the end of the solution
so far, the mean of those at the ends of its lines, and whether the calculations that the solution states are right
(`calculations.py`), which a small model's hidden states do not show. All three critics share one reading, and of a
solution whose prefix is cached only the new lines are computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, zip_longest
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alphallm_env.critics.calculations import calculations
from alphallm_env.lm.base import Embedding, clear_caches, is_reproducible
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.mdp.options import SentenceRule, split_options
from alphallm_env.types import State

_NUM_CHECKS = 2
_MOST_CACHED = 4_096  # prompts whose hidden states are cached


class HiddenStates(Protocol):
    """A language model that returns the hidden states after its layers."""

    @property
    def name(self) -> str:
        """Folder or hub name."""
        ...

    @property
    def precision(self) -> str:
        """The type of its weights, such as float32."""
        ...

    def hidden_states(self, prompts: Sequence[str], layers: Sequence[int]) -> list[Embedding]:
        """Returns, per prompt, h / rms(h) after each of `layers` at its last token, [layers · width]."""
        ...


class ProbeTrunk:
    """A language model, the layers that probes read, and the checks of a solution's calculations."""

    def __init__(
        self, lm: HiddenStates, template: PromptTemplate, layers: Sequence[int], calculations: bool = True
    ) -> None:
        self.lm = lm
        self.template = template
        self.layers = tuple(layers)
        self.num_checks = _NUM_CHECKS if calculations else 0  # the length of the result of `checks`
        self._cache: dict[str, Embedding] = {}  # by prompt

    @property
    def is_reproducible(self) -> bool:
        """Whether a reading does not depend on the other items of a batch."""
        return is_reproducible(self.lm)

    def clear_cache(self) -> None:
        """Clears the cached hidden states, and the model's own cache."""
        self._cache.clear()
        clear_caches(self.lm)

    def prompt(self, state: State) -> str:
        """Returns what the model reads of a state: question and solution so far."""
        return self.template.solve(state.question, state.text)

    def prompts(self, state: State) -> list[str]:
        """Returns the prompts of a state: the solution up to the end of each line, the whole solution last."""
        ends = accumulate(split_options(state.text, SentenceRule()))
        return [self.template.solve(state.question, text) for text in ends] or [self.template.solve(state.question, "")]

    def read(self, states: Sequence[State]) -> list[Embedding]:
        """Returns a probe's input per state, [2 · layers · width + num_checks], with its tokens and the cached ones."""
        found = zip(self.hidden_states(states), states, strict=True)
        return [replace(seen, vector=np.concatenate([seen.vector, self.checks(state)])) for seen, state in found]

    def checks(self, state: State) -> NDArray[np.float32]:
        """Returns whether a stated calculation is wrong, and whether none is stated, each 0 or 1, [num_checks]."""
        stated = calculations(state.text) if self.num_checks else []
        wrong = any(not calculation.is_right for calculation in stated)
        return np.array([wrong, not stated], np.float32)[: self.num_checks]

    def hidden_states(self, states: Sequence[State]) -> list[Embedding]:
        """Returns the hidden states per state, [2 · layers · width], with its tokens and the cached ones of them."""
        asked = [self.prompts(state) for state in states]
        computed: Counter[str] = Counter()
        questions = [self.template.solve(state.question, "") for state in states]
        levels: list[Sequence[str | None]] = [questions, *zip_longest(*asked)]
        for level in levels:  # line by line, so that each finds its prefix cached
            new = [prompt for prompt in dict.fromkeys(level) if prompt is not None and prompt not in self._cache]
            found = self.lm.hidden_states(new, self.layers)
            self._cache |= dict(zip(new, found, strict=True))
            computed.update({prompt: e.num_tokens - e.saved_tokens for prompt, e in zip(new, found, strict=True)})
        seen = [self._seen(question, ends, computed) for question, ends in zip(questions, asked, strict=True)]
        if len(self._cache) > _MOST_CACHED:
            self._cache.clear()
        return seen

    def _seen(self, question: str, prompts: Sequence[str], computed: Counter[str]) -> Embedding:
        """Returns the hidden states of one state. Tokens computed for several states are counted for the first."""
        ends = [self._cache[prompt] for prompt in prompts]
        vector = np.concatenate([ends[-1].vector, np.mean([end.vector for end in ends], axis=0)])
        num_read = sum(computed.pop(prompt, 0) for prompt in (question, *prompts))
        return Embedding(vector, ends[-1].num_tokens, max(0, ends[-1].num_tokens - num_read))
