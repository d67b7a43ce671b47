"""The first tokens of labels, with a tokenizer whose tokens are letters."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import first_label_tokens


def letters(texts: Sequence[str]) -> list[list[int]]:
    """As some tokenizers do, puts a space at the start of a text into a token of its own, 0; else drops spaces."""
    return [[0] * text.startswith(" ") + [ord(letter) for letter in text if letter != " "] for text in texts]


def test_the_first_token_is_the_one_that_follows_a_text() -> None:
    assert first_label_tokens(("True", "False"), letters) == (ord("T"), ord("F"))
    assert first_label_tokens((" True", " False"), letters) == (ord("T"), ord("F"))


def test_labels_that_cannot_be_told_apart_or_have_no_token_are_refused() -> None:
    with pytest.raises(ModelError, match=r"different first tokens, got \('True', 'Top'\)"):
        first_label_tokens(("True", "Top"), letters)
    for empty in ("", " "):
        with pytest.raises(ModelError, match=r"at least one token, got \('True', '.?'\) -> .*\[\]\]"):
            first_label_tokens(("True", empty), letters)
