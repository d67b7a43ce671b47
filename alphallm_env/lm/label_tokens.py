"""The tokens of labels such as True and False: critics compare the probabilities of their first tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alphallm_env.errors import ModelError


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
