"""Kinds of servers: the fields by which each is made to sample from the whole distribution.

OpenAI's protocol has no top-k, min-p or repetition penalty, and many servers switch some on by default. A policy is
sampled from its whole distribution, so they are switched off where the server's kind is known from `/models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServerKind:
    """The fields that make a server sample from the whole distribution, and return ids; and what else it can."""

    name: str
    whole_distribution: Mapping[str, float | bool] = field(default_factory=dict[str, float | bool])
    scores_token_ids: bool = False  # returns log-probabilities of the tokens that `logprob_token_ids` names


UNKNOWN = ServerKind("unknown")
# By the `owned_by` of their models.
KINDS = {
    "vllm": ServerKind(
        "vLLM", {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "return_token_ids": True}, scores_token_ids=True
    ),
    "sglang": ServerKind("SGLang", {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
    "llamacpp": ServerKind("llama.cpp", {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}),
    "me": ServerKind("llama-cpp-python", {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}),
}
