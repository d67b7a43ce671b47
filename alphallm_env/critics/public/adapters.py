"""Public PRMs as critics. The adapter defines how a model is read; it is named, never guessed from the model's name.

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

from alphallm_env.critics.combine import aggregate, check_aggregation
from alphallm_env.critics.provenance import Provenance
from alphallm_env.critics.public.formats import FORMATS
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
from alphallm_env.runtime.counting import count_scored
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role
from alphallm_env.types import State


class PublicPRM:
    """Scores each option of a state as a step, and aggregates these scores to one.

    `last` judges the option just taken, as a PRM does; `min`, `product` and `mean` the whole solution. A state's
    text is prefilled whole each time, without a prefix cache. Raises CriticError at a state without options.
    """

    def __init__(self, reader: StepReader, engine: Engine, aggregation: str = "last", name: str = "prm") -> None:
        check_aggregation(aggregation)
        self.name = name
        self._reader = reader
        self._engine = engine
        self._aggregation = aggregation

    @property
    def is_reproducible(self) -> bool:
        """Whether a score does not depend on the other items of a batch: True in float32, whose rounding suffices."""
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
        count_scored(self._reader, [state.question + state.text for state in states], found)
        return [scores.scores for scores in found]

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns one score in [0, 1] per state, in order."""
        return [aggregate(scores, self._aggregation) for scores in await self.score_steps(states)]


@dataclass(frozen=True)
class _CheckpointHead:
    """A head made from tensors of the checkpoint."""

    make: Callable[[dict[str, torch.Tensor]], Head]
    tensors: tuple[str, ...]


_HEADS = {  # by adapter; one without is a causal LM whose + and − are compared
    "qwen_prm": _CheckpointHead(two_class_head, ("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias")),
    "skywork": _CheckpointHead(value_head, ("v_head.summary.weight", "v_head.summary.bias")),
}


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

    Only safetensors are loaded, and no code of the checkpoint is run. Raises ModelError for an unknown adapter, or a
    model that does not fit the adapter.
    """
    adapter, colon, model = source.partition(":")
    if not colon or adapter not in FORMATS:
        raise ModelError(f"a public PRM must be ADAPTER:MODEL with one of {', '.join(FORMATS)}, got {source!r}")
    return PublicPRM(_load_reader(adapter, model, device, dtype), engine, aggregation, name)


@lru_cache(maxsize=2)  # PRM and ORM share one
def _load_reader(adapter: str, model: str, device: str, dtype: str) -> StepReader:
    text_format = FORMATS[adapter](load_tokenizer(model))
    head = _HEADS.get(adapter)
    if head is None:
        causal = load_causal(model, device, dtype)
        trunk = cast(PreTrainedModel, causal.base_model)
        return StepReader(trunk, label_head(causal, text_format.label_ids()), text_format, model)
    trunk = load_trunk(model, device, dtype)
    return StepReader(trunk, head.make(read_head(model, head.tensors, trunk.device)), text_format, model)
