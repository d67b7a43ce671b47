"""A public PRM's model: a trunk that reads a whole solution in one forward pass, and a head that scores its steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from safetensors import safe_open
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from alphallm_env.critics.public.formats import StepFormat, StepText
from alphallm_env.errors import CriticError, ModelError
from alphallm_env.lm.device import resolved_device, resolved_dtype
from alphallm_env.lm.local.prefill import batches_by_length, in_halves
from alphallm_env.lm.local.sizes import size_of
from alphallm_env.lm.local.vocabulary import padded, padding_mask
from alphallm_env.lm.revision import source_revision
from alphallm_env.runtime.computing import ModelSize

Head = Callable[[torch.Tensor], torch.Tensor]  # hidden states [steps, hidden size], float32 -> scores [steps] in [0, 1]


@dataclass(frozen=True)
class Solution:
    """A question and the steps taken."""

    question: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class StepScores:
    """One score in [0, 1] per step, and the number of tokens that were read."""

    scores: tuple[float, ...]
    num_tokens: int
    saved_tokens: int = 0  # nothing is cached here


class StepReader:
    """Scores the steps of solutions. Owned by one engine: not thread-safe."""

    def __init__(self, trunk: PreTrainedModel, head: Head, text_format: StepFormat, name: str) -> None:
        """`trunk` returns hidden states [texts, tokens, hidden size] as `last_hidden_state`."""
        self.trunk = trunk.eval()
        self.format = text_format
        self.name = name
        self._head = head

    @cached_property
    def size(self) -> ModelSize:
        """The weights that a token touches, and what attention adds."""
        return size_of(self.trunk)

    @property
    def revision(self) -> str | None:
        """The hub's commit, or a digest of the weights in a folder."""
        return source_revision(self.name, self.trunk)

    def score(self, solutions: Sequence[Solution]) -> list[StepScores]:
        """Returns the scores of each solution's steps, in order, from one forward pass over the whole solution.

        Raises CriticError where the steps are ambiguous, or a text is longer than the model's context.
        """
        texts = [self.format.encode(solution.question, solution.steps) for solution in solutions]
        most = getattr(self.trunk.config, "max_position_embeddings", None)
        for text in texts:
            if most is not None and len(text.ids) > most:
                raise CriticError(f"{self.name} reads at most {most} tokens, got a solution of {len(text.ids)}")
        found: dict[int, StepScores] = {}
        for whole in batches_by_length([len(text.ids) for text in texts], self.trunk.device):
            for batch, scores in in_halves(lambda part: self._read([texts[index] for index in part]), whole):
                found.update(zip(batch, scores, strict=True))
        return [found[index] for index in range(len(texts))]

    @torch.inference_mode()
    def _read(self, texts: Sequence[StepText]) -> list[StepScores]:
        tokens = [text.ids for text in texts]
        ids, mask = padded(tokens), padding_mask(tokens)
        device = self.trunk.device
        # Right padding: attention is causal, so no token attends to the padding.
        hidden = self.trunk(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).last_hidden_state
        return [
            StepScores(tuple(self._head(hidden[row, list(text.places)].float()).tolist()), len(text.ids))
            for row, text in enumerate(texts)
        ]


def label_head(model: PreTrainedModel, labels: tuple[int, int]) -> Head:
    """Returns the head p(good) / (p(good) + p(bad)) of the next token, for the tokens `labels` of a causal LM.

    Raises ModelError where the output layer has a bias; no published model of this kind has one.
    """
    output = cast(torch.nn.Linear, model.get_output_embeddings())
    if getattr(output, "bias", None) is not None:
        raise ModelError(f"expected an output layer without a bias, got one with, of {type(model).__name__}")
    weight = output.weight[list(labels)].detach().float()  # [2, hidden size]
    return lambda hidden: torch.nn.functional.linear(hidden, weight).softmax(-1)[:, 0]


def two_class_head(tensors: dict[str, torch.Tensor]) -> Head:
    """Returns the head of Qwen2.5-Math-PRM: linear, ReLU, linear, softmax; the second of its classes is right."""
    first, second = _linear(tensors, "score.0"), _linear(tensors, "score.2")
    return lambda hidden: second(torch.relu(first(hidden))).softmax(-1)[:, 1]


def value_head(tensors: dict[str, torch.Tensor]) -> Head:
    """Returns the value head of Skywork's PRMs: linear, sigmoid."""
    summary = _linear(tensors, "v_head.summary")
    return lambda hidden: summary(hidden).sigmoid()[:, 0]


def _linear(tensors: dict[str, torch.Tensor], name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    return lambda hidden: torch.nn.functional.linear(hidden, weight, bias)


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Returns the tokenizer in a folder or of a hub name. Raises ModelError where it is missing."""
    try:
        return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(source, trust_remote_code=False))
    except (OSError, ValueError) as error:
        raise ModelError(f"expected a tokenizer at {source!r}: {error}") from error


def load_causal(source: str, device: str, dtype: str) -> PreTrainedModel:
    """Returns a causal LM with its output layer. Raises ModelError where a weight is missing."""
    return _load(AutoModelForCausalLM, source, device, dtype)


def load_trunk(source: str, device: str, dtype: str) -> PreTrainedModel:
    """Returns a model without a head. No code of the checkpoint is run. Raises ModelError if a weight is missing."""
    return _load(AutoModel, source, device, dtype)


def _load(kind: type[AutoModel] | type[AutoModelForCausalLM], source: str, device: str, dtype: str) -> PreTrainedModel:
    device = resolved_device(device)
    dtype = resolved_dtype(dtype, device)
    try:
        model, info = cast(
            "tuple[PreTrainedModel, dict[str, set[str]]]",
            kind.from_pretrained(
                source, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            ),
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"expected a model in safetensors at {source!r}: {error}") from error
    if info["missing_keys"] or info["mismatched_keys"]:
        missing = sorted(map(str, (*info["missing_keys"], *info["mismatched_keys"])))
        raise ModelError(f"expected all weights of a {type(model).__name__} in {source!r}, not there: {missing[:5]}")
    return cast(PreTrainedModel, model.to(device))  # type: ignore[arg-type]


def read_head(source: str, names: Sequence[str], device: torch.device) -> dict[str, torch.Tensor]:
    """Returns tensors by name from the checkpoint in a folder or of a hub name, in float32.

    Raises ModelError where one is missing, or the checkpoint is not in safetensors.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name in names:
        with safe_open(_file_of(source, name), framework="pt") as file:
            if name not in file.keys():  # noqa: SIM118 (no dict)
                raise ModelError(f"expected a tensor {name!r} in the weights of {source!r}, found none")
            tensors[name] = file.get_tensor(name).float().to(device)
    return tensors


def _file_of(source: str, tensor: str) -> str:
    """Returns the file of a checkpoint that should hold a tensor."""
    index = _checkpoint_file(source, "model.safetensors.index.json")
    files = json.loads(Path(index).read_text())["weight_map"] if index else {tensor: "model.safetensors"}
    if tensor not in files:
        raise ModelError(f"expected a tensor {tensor!r} in the weights of {source!r}, found none")
    path = _checkpoint_file(source, files[tensor])
    if path is None:
        raise ModelError(f"expected weights in safetensors at {source!r}, found none")
    return path


def _checkpoint_file(source: str, name: str) -> str | None:
    try:
        return cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    except OSError as error:
        raise ModelError(f"expected a model at {source!r}: {error}") from error
