"""The size of a model, as it sets what a token costs."""

from __future__ import annotations

from transformers import PreTrainedModel

from alphallm_env.runtime.computing import ModelSize

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")  # as configurations call their number


def size_of(model: PreTrainedModel) -> ModelSize:
    """Returns the weights that a token touches, and layers · heads · width of a head.

    Left out are input embeddings that are not the output's too, and the experts beyond those that a token is sent to.
    """
    config = model.config.get_text_config()
    looked_up = model.get_input_embeddings().weight
    output = model.get_output_embeddings()
    is_tied = output is not None and output.weight is looked_up
    num_experts = next((number for name in _EXPERTS if (number := getattr(config, name, None))), 1)
    chosen = getattr(config, "num_experts_per_tok", None) or num_experts
    weights = 0
    for name, parameter in model.named_parameters():
        if parameter is not looked_up or is_tied:
            weights += parameter.numel() * chosen // num_experts if ".experts." in name else parameter.numel()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return ModelSize(weights, config.num_hidden_layers * heads * width)
