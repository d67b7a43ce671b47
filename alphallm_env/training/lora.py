"""LoRA: low-rank matrices beside the linear layers are trained, then merged into the weights. Hu et al. 2022."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from alphallm_env.errors import ModelError

_SCALE = 2.0  # α / r: what the product of the two matrices is multiplied by


@contextmanager
def low_rank_changes(model: PreTrainedModel, rank: int) -> Generator[list[torch.nn.Parameter]]:
    """Yields the trainable matrices, two for each linear layer but the output; on exit they are merged.

    Until then the layers are PEFT's. Raises ModelError where peft is not installed.
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
