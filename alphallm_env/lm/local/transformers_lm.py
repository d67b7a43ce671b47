"""Any Hugging Face causal LM, in process, as a `LanguageModel`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import (
    Completion,
    Embedding,
    GenerationRequest,
    LabelProbs,
    Passage,
    Reading,
    first_label_tokens,
)
from alphallm_env.lm.device import resolved_device, resolved_dtype
from alphallm_env.lm.local.decoder import Decoder, written
from alphallm_env.lm.local.forward import Forward, Passes
from alphallm_env.lm.local.prefix_cache import PrefixCache
from alphallm_env.lm.local.scoring import last_outputs, token_log_probs
from alphallm_env.lm.local.sizes import size_of
from alphallm_env.lm.local.supported import require_supported
from alphallm_env.lm.local.vocabulary import vocabulary_of
from alphallm_env.lm.revision import source_revision
from alphallm_env.runtime.computing import ModelSize

_LOGITS_PER_BATCH = 2**27  # in memory at once where those of every token are needed: 512 MiB of float32


class TransformersLM:
    """A causal LM with its tokenizer. Owned by one engine, and not thread-safe."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        self.model = model.eval()
        require_supported(self.model)
        self.tokenizer = tokenizer
        self.name = name
        self.vocabulary = vocabulary_of(model, tokenizer)
        self.passes = Passes(model)
        self.prefixes = PrefixCache()
        self._label_ids: dict[tuple[str, ...], tuple[int, ...]] = {}

    @classmethod
    def load(cls, source: str | Path, device: str = "auto", dtype: str = "auto") -> Self:
        """Returns the model in a folder or of a hub name, ready to run.

        `device` auto is a GPU where there is one. `dtype` auto is the checkpoint's own on a GPU and float32
        on a CPU. Only safetensors are read. Raises ModelError if the model cannot be loaded.
        """
        device = resolved_device(device)
        dtype = resolved_dtype(dtype, device)
        try:
            tokenizer = cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(source))
            model = cast(
                PreTrainedModel,
                AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True),
            )
        except (OSError, ValueError) as error:
            raise ModelError(f"expected a causal LM with its tokenizer at {str(source)!r}: {error}") from error
        return cls(cast(PreTrainedModel, model.to(device)), tokenizer, str(source))  # type: ignore[arg-type]

    @property
    def is_reproducible(self) -> bool:
        """Whether texts do not depend on the rest of their batch: True in float32, whose rounding suffices."""
        return self.model.dtype == torch.float32

    @property
    def precision(self) -> str:
        """The type of its weights: float32, bfloat16, …"""
        return str(self.model.dtype).removeprefix("torch.")

    @cached_property
    def size(self) -> ModelSize:
        """The weights that a token touches, and what attention adds."""
        return size_of(self.model)

    @cached_property
    def revision(self) -> str | None:
        """The hub's commit, or a digest of the weights in a folder; None where the model came from neither."""
        return source_revision(self.name, self.model)

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order."""
        return written(self._decoder(), requests)

    @cached_property
    def stepped_batch(self) -> Decoder:
        """The batch that an engine decodes one token at a time, so that texts join and leave between steps."""
        return self._decoder()

    def _decoder(self) -> Decoder:
        return Decoder(self.model, self.vocabulary, self.prefixes)

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns, per prompt, the probability of each label's first token as the next token."""
        ids = self.label_ids(tuple(labels))
        encoded = self.vocabulary.encode(prompts)
        if not encoded:
            return []
        outputs, saved = self.outputs(self.passes.last_logits, encoded)
        probs = outputs.softmax(-1)[:, list(ids)].tolist()
        return [LabelProbs(tuple(row), len(text), n) for row, text, n in zip(probs, encoded, saved, strict=True)]

    def outputs(self, forward: Forward, encoded: Sequence[Sequence[int]]) -> tuple[torch.Tensor, list[int]]:
        """Returns the output of `forward` at the last token of each of the encoded texts, [texts, …].

        Also returns how many tokens of each text were cached and not computed.
        """
        self.vocabulary.check_lengths(encoded, self.name)
        return last_outputs(forward, encoded, self.prefixes, self.vocabulary.pad_id)

    def read(self, passages: Sequence[Passage]) -> list[Reading]:
        """Returns, per passage, the lowest log-probability of a token in each of its lines."""
        parts = [self.vocabulary.encode([passage.prompt, *passage.lines]) for passage in passages]
        self.vocabulary.check_lengths([list(chain(*pieces)) for pieces in parts], self.name)
        log_probs, saved = token_log_probs(
            self.passes.logits,
            [list(chain(*pieces)) for pieces in parts],
            [len(pieces[0]) for pieces in parts],
            self.prefixes,
            self.vocabulary.pad_id,
            max(1, _LOGITS_PER_BATCH // len(self.vocabulary.banned)),
        )
        return [
            Reading(tuple(min(islice(found, len(line))) for line in pieces[1:]), sum(map(len, pieces)), num_saved)
            for pieces, found, num_saved in zip(parts, map(iter, log_probs), saved, strict=True)
        ]

    @property
    def embedding_size(self) -> int:
        """The width of a hidden state."""
        return int(self.model.config.get_text_config().hidden_size)

    def embed(self, prompts: Sequence[str]) -> list[Embedding]:
        """Returns, per prompt, tanh(h / rms(h)) of the last hidden state h at its last token, [width].

        Of a prompt whose text was just decoded, only one token is computed.
        """
        states = self.hidden_states(prompts, [self.num_layers])
        return [replace(state, vector=np.tanh(state.vector)) for state in states]

    @property
    def num_layers(self) -> int:
        """The number of the model's layers."""
        return int(self.model.config.get_text_config().num_hidden_layers)

    def hidden_states(self, prompts: Sequence[str], layers: Sequence[int]) -> list[Embedding]:
        """Returns, per prompt, h / rms(h) of the hidden state h after each of `layers`, at its last token.

        Vectors are [layers · width]. Layers are numbered from 1, in rising order. Raises ValueError for others.
        """
        rising = list(layers)
        if rising != sorted(set(rising)) or not rising or not 1 <= rising[0] <= rising[-1] <= self.num_layers:
            raise ValueError(f"layers must rise from 1 or more to at most {self.num_layers}, got {rising}")
        if not prompts:
            return []
        encoded = self.vocabulary.encode(prompts)
        forward = self.passes.hidden if rising == [self.num_layers] else self.passes.hidden_after(rising)
        hidden, saved = self.outputs(forward, encoded)
        hidden = hidden.unflatten(-1, (len(rising), -1))
        scale = hidden.pow(2).mean(-1, keepdim=True).sqrt().clamp(min=torch.finfo(torch.float32).tiny)
        vectors = (hidden / scale).flatten(1).numpy()
        return [Embedding(row.copy(), len(text), n) for row, text, n in zip(vectors, encoded, saved, strict=True)]

    def clear_cache(self) -> None:
        """Clears the prefix cache."""
        self.prefixes.clear()

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the tokenizer makes of `text`."""
        return len(self.vocabulary.encode([text])[0])

    def label_ids(self, labels: tuple[str, ...]) -> tuple[int, ...]:
        """Returns the id of each label's first token. Raises ModelError if two share it, or one is unknown."""
        if labels not in self._label_ids:
            self._label_ids[labels] = self._checked_label_ids(labels)
        return self._label_ids[labels]

    def _checked_label_ids(self, labels: tuple[str, ...]) -> tuple[int, ...]:
        ids = first_label_tokens(labels, self.vocabulary.encode)
        if self.tokenizer.unk_token_id in ids:
            raise ModelError(f"expected labels in the vocabulary of {self.name}, got {labels} -> {ids}")
        return ids
