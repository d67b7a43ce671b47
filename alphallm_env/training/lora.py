"""Trains a model by low-rank changes of its linear layers, added to their weights in the end. Hu et al. 2022."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from alphallm_env.errors import ModelError

_SCALE = 2.0  # α / r: what a change is multiplied by


@contextmanager
def low_rank_changes(model: PreTrainedModel, rank: int) -> Generator[list[torch.nn.Parameter]]:
    """Yields two matrices for each linear layer but the output, all that learns; at the end they are in the weights.

    Meanwhile the layers are PEFT's. Raises ModelError where peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ModuleNotFoundError as error:
        raise ModelError(f"low-rank training needs the extra alphallm-env[lora]: {error}") from error
    wanted = LoraConfig(r=rank, lora_alpha=round(_SCALE * rank), target_modules="all-linear")
    adapted = get_peft_model(model, wanted)
    try:
        yield [weight for weight in model.parameters() if weight.requires_grad]
    finally:
        adapted.merge_and_unload()
        model.requires_grad_(True)
