"""Public PRMs as critics: which model is read how is said by an adapter's name, never guessed from a model's.

critic = load_public_prm("qwen_prm:FOLDER", engine)          # the last step's score
critic = load_public_prm("math_shepherd:FOLDER", engine, aggregation="min", name="orm")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from transformers import PreTrainedModel

from alphallm_env.critics.aggregation import aggregate, check_aggregation
from alphallm_env.critics.provenance import Provenance
from alphallm_env.critics.public.formats import (
    MathShepherdFormat,
    QwenPRMFormat,
    RLHFlowFormat,
    SkyworkFormat,
    StepFormat,
)
from alphallm_env.critics.public.reader import (
    Head,
    Solution,
    StepReader,
    label_head,
    load_causal,
    load_tokenizer,
    load_trunk,
    read_head,
    two_class_head,
    value_head,
)
from alphallm_env.errors import ModelError
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role, count_scored
from alphallm_env.types import State


class PublicPRM:
    """Scores each option of a state as a step, and makes one score of them by an aggregation.

    `last` judges the option just taken, as a PRM does; `min`, `product` and `mean` the whole solution. A state's
    text is read whole each time. Raises CriticError at a state without options.
    """

    def __init__(self, reader: StepReader, engine: Engine, aggregation: str = "last", name: str = "prm") -> None:
        check_aggregation(aggregation)
        self.name = name
        self._reader = reader
        self._engine = engine
        self._aggregation = aggregation

    @property
    def is_reproducible(self) -> bool:
        """Whether a score does not depend on what is judged beside it: float32 rounds finely enough for that."""
        return self._reader.trunk.dtype == torch.float32

    @property
    def provenance(self) -> Provenance:
        """The model, its adapter, and the aggregation."""
        reader = self._reader
        return Provenance(self.name, reader.name, reader.revision, reader.format.name, self._aggregation)

    async def score_steps(self, states: Sequence[State]) -> list[tuple[float, ...]]:
        """Returns the scores in [0, 1] of the options of each state, first to last. Counts the tokens read."""
        solutions = [Solution(state.question, tuple(option.text for option in state.options)) for state in states]
        found = await self._engine.submit(self._reader.score, solutions, role=Role.CRITIC)
        count_scored(found)
        return [scores.scores for scores in found]

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns one score in [0, 1] per state, in order."""
        return [aggregate(scores, self._aggregation) for scores in await self.score_steps(states)]


@dataclass(frozen=True)
class _Adapter:
    """A format, and a head made of tensors of the checkpoint; without one, a causal LM's + and − are asked."""

    text_format: type[StepFormat]
    make_head: Callable[[dict[str, torch.Tensor]], Head] | None = None
    head_tensors: tuple[str, ...] = ()


ADAPTERS = {
    "math_shepherd": _Adapter(MathShepherdFormat),
    "rlhflow": _Adapter(RLHFlowFormat),
    "qwen_prm": _Adapter(
        QwenPRMFormat, two_class_head, ("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias")
    ),
    "skywork": _Adapter(SkyworkFormat, value_head, ("v_head.summary.weight", "v_head.summary.bias")),
}


def split_source(source: str) -> tuple[str, str] | None:
    """Returns adapter and model of `ADAPTER:MODEL`, None where the part before the colon is no adapter.

    >>> split_source("qwen_prm:folder/of/it"), split_source("folder/of/it")
    (('qwen_prm', 'folder/of/it'), None)
    """
    adapter, colon, model = source.partition(":")
    return (adapter, model) if colon and adapter in ADAPTERS else None


def load_public_prm(
    source: str,
    engine: Engine,
    *,
    aggregation: str = "last",
    name: str = "prm",
    device: str = "auto",
    dtype: str = "auto",
) -> PublicPRM:
    """Returns the PRM called `ADAPTER:MODEL`, the model being a folder or a hub name.

    Only safetensors are read, and no code of the checkpoint is run. Raises ModelError for an unknown adapter, or a
    model that is not what the adapter expects.
    """
    found = split_source(source)
    if found is None:
        raise ModelError(f"a public PRM must be ADAPTER:MODEL with one of {', '.join(ADAPTERS)}, got {source!r}")
    return PublicPRM(_load_reader(*found, device, dtype), engine, aggregation, name)


@lru_cache(maxsize=2)  # PRM and ORM share one
def _load_reader(adapter: str, model: str, device: str, dtype: str) -> StepReader:
    chosen = ADAPTERS[adapter]
    text_format = chosen.text_format(load_tokenizer(model))
    if chosen.make_head is None:
        causal = load_causal(model, device, dtype)
        trunk = cast(PreTrainedModel, causal.base_model)
        return StepReader(trunk, label_head(causal, text_format.label_ids()), text_format, model)
    trunk = load_trunk(model, device, dtype)
    tensors = read_head(model, chosen.head_tensors, trunk.device)
    return StepReader(trunk, chosen.make_head(tensors), text_format, model)
