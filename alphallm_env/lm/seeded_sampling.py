"""Gives every request of a `ContinuousBatchingManager` its own seed and temperature.

The manager samples all its requests from one generator, so that a text depends on what else is in its batch. This
replaces the manager's logits processors: it draws each token with the request's own uniform numbers, and returns
scores of which the drawn token has the highest, so that the manager's greedy choice is that token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import LogitsProcessorList
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessorList
from transformers.generation.continuous_batching.requests import FutureRequestState

from alphallm_env.lm.local.decoder import draw, uniforms

_UNIT = 2.0**-31  # of a draw: the manager carries integers of 32 bits to the device
_SCALE = 128.0  # of log-probabilities: at -88, as low as float32 goes, the drawn token still has the highest score


@dataclass(eq=False)
class Draws:
    """The random numbers and the temperature of one text, and the tokens computed for it. Temperature 0 is greedy."""

    seed: int
    temperature: float
    prompt_length: int
    max_tokens: int
    tokens_read: int = 0  # positions computed for the request, those of generated tokens included

    def __post_init__(self) -> None:
        self._draws = (uniforms(self.seed, self.max_tokens) / _UNIT).astype(np.int32)

    def __deepcopy__(self, memo: dict[int, object]) -> Draws:
        return self  # a request that the manager restarts is still counted here

    def at(self, position: int) -> int:
        """Returns the random number, in units of 2^-31, for the token at `position`, the prompt's included."""
        # The manager may compute a token beyond the last one, which it then discards.
        return int(self._draws[min(position - self.prompt_length, self.max_tokens - 1)])


class SeededSampling(ContinuousBatchingLogitsProcessorList):
    """Draws a token per request by inverting the cumulative distribution at the request's own random number.

    A request passes its `Draws` as the keyword argument `draws` of `add_request`. The manager must not sample
    (`do_sample=False`) and must return log-probabilities, which `log_prob` converts.
    """

    def __init__(self, banned: torch.Tensor) -> None:
        super().__init__(LogitsProcessorList())
        self.banned = banned  # bool [vocabulary]: tokens that are never drawn
        self.do_processing = True
        self.tensors_required = 2  # temperature and draw
        self.supported_keys: dict[str, type] = {"draws": Draws}

    @staticmethod
    def log_prob(reported: float) -> float:
        """Returns the log-probability at temperature 1, banned tokens excluded, from what the manager reports."""
        return reported * _SCALE

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        """Makes requests without `draws`, those of the manager's warm-up, greedy."""
        int32_tensor.zero_()

    def prepare_tensor_args(
        self, requests_in_batch: Sequence[FutureRequestState], arg_storage: torch.Tensor
    ) -> torch.Tensor:
        """Writes temperatures and draws of the next tokens into `arg_storage` [2, requests], float32 read as int32."""
        temperatures: list[float] = []
        numbers: list[int] = []
        for request in requests_in_batch:
            draws = request.state.logit_processor_kwargs.get("draws")
            if draws is not None:
                draws.tokens_read += request.query_length
            if request.has_new_token:
                temperatures.append(draws.temperature if draws is not None else 0.0)
                numbers.append(draws.at(request.state.position_offset) if draws is not None else 0)
        heat = torch.tensor(temperatures, dtype=torch.float32).view(torch.int32)
        rows = torch.stack([heat, torch.tensor(numbers, dtype=torch.int32)])
        arg_storage[:, : len(numbers)] = rows.to(arg_storage.device)
        return arg_storage

    def __call__(
        self,
        input_ids: torch.Tensor,  # noqa: ARG002
        scores: torch.Tensor,  # [requests, vocabulary]
        logits_processor_args: torch.Tensor,  # [2, requests]
    ) -> torch.Tensor:
        """Returns scores with their maximum at the drawn token, which encode its log-probability at temperature 1."""
        logits = scores.masked_fill(self.banned, float("-inf"))
        heat = logits_processor_args[0, : len(scores)].view(torch.float32)
        numbers = logits_processor_args[1, : len(scores)].double() * _UNIT
        chosen = draw(logits, heat, numbers)[:, None]
        return _only(chosen, logits.log_softmax(-1).gather(-1, chosen) / _SCALE, logits)


def _only(chosen: torch.Tensor, log_probs: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Returns scores whose softmax has exp(log_probs) >= 1/2 at the chosen tokens, and the rest at one other each."""
    log_probs = log_probs.clamp(min=-0.69, max=-1e-12)  # ln 1/2 = -0.693
    odds = log_probs - (-torch.expm1(log_probs)).log()
    other = (chosen + 1) % like.shape[-1]
    return torch.full_like(like, float("-inf")).scatter_(-1, other, 0.0).scatter_(-1, chosen, odds)
