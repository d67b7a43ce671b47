"""A language model that follows a script: for tests, and for worked examples of what a planner does."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import Completion, GenerationRequest, LabelProbs
from alphallm_env.lm.word_tokenizer import SOLUTION
from alphallm_env.runtime.computing import ModelSize
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import StopReason

Continuations = Sequence[tuple[str, float]]  # what may come next, and how likely each is
LabelFunction = Callable[[str, Sequence[str]], Sequence[float]]
_TOKEN = re.compile(r"\s*\S+\s*|\s+")


class ScriptedLM:
    """Continues a solution by its script; a token is a word with the white space around it.

    `script` maps the solution so far (or a whole prompt, which goes first) to its continuations. Where
    it has no entry, the model closes the text. `label_probs` maps a prompt to the labels' probabilities,
    or computes them.

    >>> lm = ScriptedLM({"": [("1 + 1 = 2\\n", 0.9), ("1 + 1 = 3\\n", 0.1)], "1 + 1 = 2\\n": [("#### 2\\n", 1.0)]})
    >>> lm.generate([GenerationRequest(SOLUTION, seed=0, max_tokens=20, temperature=0.0)])[0].text
    '1 + 1 = 2\\n#### 2\\n'
    """

    is_reproducible = True
    size = ModelSize(weights=1)

    def __init__(
        self,
        script: Mapping[str, Continuations],
        label_probs: Mapping[str, Sequence[float]] | LabelFunction | None = None,
        *,
        name: str = "scripted",
        marker: str = SOLUTION,
    ) -> None:
        for solution, continuations in script.items():
            if not continuations or any(not text or prob <= 0 for text, prob in continuations):
                raise ValueError(f"script at {solution!r} must have texts with probabilities > 0, got {continuations}")
        self.name = name
        self._script = script
        self._label_probs = label_probs or {}
        self._marker = marker  # the text in a prompt after which the solution begins

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order. The same request gives the same completion."""
        seen: set[str] = set()
        completions: list[Completion] = []
        for request in requests:
            num_tokens = self.count_tokens(request.prompt)
            num_saved = num_tokens if request.prompt in seen else 0
            seen.add(request.prompt)
            done = self._complete(request)
            completions.append(replace(done, prompt_tokens=num_tokens - num_saved, saved_tokens=num_saved))
        return completions

    def _complete(self, request: GenerationRequest) -> Completion:
        text, log_prob, num_tokens, pieces = "", 0.0, 0, 0
        while continuations := self._continuations(request.prompt, text):
            piece, piece_log_prob = _choose(continuations, derive_seed(request.seed, pieces), request.temperature)
            pieces += 1
            log_prob += piece_log_prob
            for token in _TOKEN.findall(piece):
                text += token
                num_tokens += 1
                if (before := request.before_stop(text)) is not None:
                    return Completion(before, num_tokens, log_prob, StopReason.END_OF_TEXT)
                if request.rule.trigger in token and request.rule.terminates(text):
                    return Completion(text, num_tokens, log_prob, StopReason.RULE)
                if num_tokens >= request.max_tokens:
                    return Completion(text, num_tokens, log_prob, StopReason.LENGTH)
        return Completion(text, num_tokens + 1, log_prob, StopReason.END_OF_TEXT)

    def _continuations(self, prompt: str, written: str) -> Continuations:
        whole = prompt + written
        return self._script.get(whole) or self._script.get(whole.rpartition(self._marker)[2], ())

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns the scripted probabilities of the labels. Raises ModelError where the script has none."""
        if len({_TOKEN.findall(label)[0] for label in labels}) < len(labels):
            raise ModelError(f"labels must differ in their first token, got {list(labels)}")
        return [LabelProbs(tuple(self._label(prompt, labels)), self.count_tokens(prompt)) for prompt in prompts]

    def _label(self, prompt: str, labels: Sequence[str]) -> Sequence[float]:
        if callable(self._label_probs):
            return self._label_probs(prompt, labels)
        if prompt not in self._label_probs:
            raise ModelError(f"the script has no label probabilities for {prompt!r}")
        return self._label_probs[prompt]

    def count_tokens(self, text: str) -> int:
        """Returns the number of words."""
        return len(_TOKEN.findall(text))


def _choose(continuations: Continuations, seed: int, temperature: float) -> tuple[str, float]:
    """Returns a text drawn with p^(1/T), and its log-probability at T = 1. T = 0 takes the likeliest."""
    total = sum(prob for _, prob in continuations)
    log_probs = [math.log(prob / total) for _, prob in continuations]
    if temperature == 0:
        index = max(range(len(log_probs)), key=log_probs.__getitem__)
        return continuations[index][0], log_probs[index]
    weights = [math.exp(log_prob / temperature) for log_prob in log_probs]
    threshold = seed / 2**63 * sum(weights)
    for (text, _), weight, log_prob in zip(continuations, weights, log_probs, strict=True):
        if threshold < weight:
            return text, log_prob
        threshold -= weight
    return continuations[-1][0], log_probs[-1]
