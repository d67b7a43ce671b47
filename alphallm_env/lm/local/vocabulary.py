"""The token ids of a model: encoding, decoding, special tokens; and sequences of ids as one padded tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from alphallm_env.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of one model."""

    encode: Callable[[Sequence[str]], list[list[int]]]
    decode: Callable[[Sequence[int]], str]
    triggers: Callable[[str], np.ndarray]  # trigger text -> bool [vocabulary]: tokens that contain it
    end_ids: frozenset[int]
    banned: torch.Tensor  # bool [vocabulary]: special tokens that are never generated
    pad_id: int
    context: int | None = None  # the most tokens of a text with its prompt; None where the model names no limit

    def check_lengths(self, texts: Sequence[Sequence[int]], name: str, *, room: int = 0) -> None:
        """Raises ModelError, with both lengths, for a text that leaves less than `room` tokens of the context."""
        longest = max(map(len, texts), default=0)
        if self.context is not None and longest + room > self.context:
            raise ModelError(
                f"expected texts of at most {self.context - room} tokens, as {name} reads {self.context} in all, got "
                f"one of {longest}"
            )


def vocabulary_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    """Returns the vocabulary of a model. Raises ModelError where it has no end-of-text token."""
    size = int(model.get_output_embeddings().weight.shape[0])  # type: ignore[union-attr]
    ends = _end_ids(model, tokenizer)
    banned = torch.zeros(size, dtype=torch.bool)
    banned[[i for i in tokenizer.all_special_ids if i not in ends and i < size]] = True
    banned[len(tokenizer) :] = True  # rows that only pad the embedding matrix

    def encode(texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []  # some tokenizers fail on none
        return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]  # type: ignore[union-attr]

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    @lru_cache(maxsize=8)
    def triggers(text: str) -> np.ndarray:
        pieces = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
        return np.array([text in piece for piece in pieces] + [False] * max(0, size - len(pieces)))

    pad_id = min(ends) if tokenizer.pad_token_id is None else cast(int, tokenizer.pad_token_id)
    return Vocabulary(encode, decode, triggers, ends, banned, pad_id, _context(model))


_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")


def _context(model: PreTrainedModel) -> int | None:
    """Returns how many tokens a model reads at most; with stretched rotations, what they are stretched to."""
    config: Any = model.config.get_text_config()
    lengths = [length for name in _CONTEXT_NAMES if isinstance(length := getattr(config, name, None), int)]
    rotations = getattr(config, "rope_parameters", None) or {}
    original, factor = rotations.get("original_max_position_embeddings"), rotations.get("factor")
    if original and factor:
        lengths.append(int(original * factor))
    return max(lengths, default=None)


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    configured = model.generation_config.eos_token_id if model.generation_config else None
    several = configured if isinstance(configured, list) else [configured]
    ends = frozenset(cast(int, i) for i in (tokenizer.eos_token_id, *several) if i is not None)
    if not ends:
        raise ModelError("expected a model with an end-of-text token, got none")
    return ends


def padded(sequences: Sequence[Sequence[int]], pad_id: int = 0, *, on_left: bool = False) -> torch.Tensor:
    """Returns the tokens, int64 [sequences, longest], with `pad_id` after the shorter ones, or before them.

    >>> padded([[7, 8], [9]], pad_id=5, on_left=True).tolist()
    [[7, 8], [5, 9]]
    """
    longest = max(map(len, sequences), default=0)
    gaps = [[pad_id] * (longest - len(sequence)) for sequence in sequences]
    rows = [[*gap, *tokens] if on_left else [*tokens, *gap] for gap, tokens in zip(gaps, sequences, strict=True)]
    return torch.tensor(rows, dtype=torch.long).view(len(sequences), longest)


def padding_mask(sequences: Sequence[Sequence[int]], *, on_left: bool = False) -> torch.Tensor:
    """Returns the mask of `padded`, int64 [sequences, longest]: 1 where there is a token, 0 where there is padding.

    >>> padding_mask([[7, 8], [9]], on_left=True).tolist()
    [[1, 1], [0, 1]]
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.long)[:, None]
    longest = max(map(len, sequences), default=0)
    places = torch.arange(longest)
    return ((places >= longest - lengths) if on_left else (places < lengths)).long()
