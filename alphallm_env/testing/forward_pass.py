"""The contract of a language model with weights: it computes what a bare forward pass of these weights computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alphallm_env.lm.base import Completion, GenerationRequest, LanguageModel

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from alphallm_env.lm.local.vocabulary import Vocabulary

# Short and long ones, so that texts of one batch lie on both sides of a sliding window.
PROMPTS = (
    "Tom has 3 apples.",
    "A baker sells 12 loaves a day. Each loaf costs 3 dollars and each cake costs 15 dollars. How much does the baker "
    "earn in 7 days if he also sells 4 cakes a day?",
    "How many apples does he have if he buys 5 more apples and then gives 2 apples to his friend Anna, who has 4?",
)
LABELS = ("True", "False")
MOST_NATS = 1e-4  # between two orders of adding up float32 numbers


def check_forward_pass(
    lm: LanguageModel,
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    prompts: Sequence[str] = PROMPTS,
    labels: Sequence[str] = LABELS,
    max_tokens: int = 24,
    most_nats: float = MOST_NATS,
    over_all_tokens: bool = False,
) -> float:
    """Checks a backend of `model` and returns the largest difference from its bare forward pass, in nats.

    Greedy texts of one batch, their log-probabilities, and the probabilities of labels after prompts whose beginnings
    were read before, are held beside forward passes over each text alone, without padding and without a cache. With
    `over_all_tokens` the log-probabilities of texts are those of a distribution that includes the special tokens which
    are never generated. Raises AssertionError for another token, or a difference of more than `most_nats`.
    """
    requests = [GenerationRequest(prompt, 0, max_tokens, temperature=0.0) for prompt in prompts]
    differences = [0.0]
    completions = lm.generate(requests)
    for request, completion in zip(requests, completions, strict=True):
        differences.append(_of_text(request, completion, model, vocabulary, over_all_tokens))
    longer = [request.prompt + done.text for request, done in zip(requests, completions, strict=True)]
    for asked in (list(prompts), longer, [*prompts, *longer][::-1]):
        for prompt, found in zip(asked, lm.label_probs(asked, labels), strict=True):
            differences.append(_of_labels(prompt, labels, found.probs, model, vocabulary))
    largest = max(differences)
    assert largest <= most_nats, f"expected the forward pass of {lm.name} within {most_nats} nats, got {largest:.3g}"
    return largest


def _logits(ids: Sequence[int], model: PreTrainedModel) -> torch.Tensor:
    """Returns the logits [vocabulary] after `ids`, by a forward pass over them alone."""
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False).logits[0, -1].float()


def _of_text(
    request: GenerationRequest,
    completion: Completion,
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    over_all_tokens: bool,
) -> float:
    """Returns the difference in the log-probability of a greedy text."""
    ids = list(vocabulary.encode([request.prompt])[0])
    start, total = len(ids), 0.0
    for _ in range(request.max_tokens):
        every = _logits(ids, model)
        allowed = every.masked_fill(vocabulary.banned.to(model.device), float("-inf"))
        token = int(allowed.argmax())
        ids.append(token)
        total += float((every if over_all_tokens else allowed).log_softmax(-1)[token])
        if token in vocabulary.end_ids:
            break
    text = vocabulary.decode([token for token in ids[start:] if token not in vocabulary.end_ids])
    assert completion.text == text, f"expected {text!r} after {request.prompt!r}, got {completion.text!r}"
    return abs(total - completion.log_prob)


def _of_labels(
    prompt: str, labels: Sequence[str], probs: Sequence[float], model: PreTrainedModel, vocabulary: Vocabulary
) -> float:
    """Returns the largest difference in a label's log-probability after a prompt."""
    import math

    from alphallm_env.lm.base import first_label_tokens

    ids = first_label_tokens(labels, vocabulary.encode)
    scores = _logits(vocabulary.encode([prompt])[0], model).log_softmax(-1)
    return max(abs(float(scores[token]) - math.log(prob)) for token, prob in zip(ids, probs, strict=True))
