"""What all fine-tuners on TRL share: tokens of lessons, arguments of trainers, and how a model is lent to one."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import Trainer

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import PromptTemplate, plain_solution, without_opening
from alphallm_env.training.base import FineTuning
from alphallm_env.training.lora import low_rank_changes
from alphallm_env.training.precision import multiplies_bfloat16

_LOGITS = 2**28  # of one forward pass: a gibibyte in float32, and its gradient as much again


def tokens_of(
    lm: TransformersLM, template: PromptTemplate, question: str, prefix: str, solution: str, *, is_whole: bool
) -> tuple[list[int], int]:
    """Returns the tokens of a solution behind its prompt, and how many of them are given.

    The end is one of them where the solution is whole. Tokens that merge across the border are learnt.
    """
    prompt = template.solve(question, prefix)
    text = prompt + without_opening(prompt, plain_solution(solution))
    given, tokens = lm.vocabulary.encode([prompt, text])
    num_given = next((at for at, pair in enumerate(zip(given, tokens, strict=False)) if pair[0] != pair[1]), len(given))
    return ([*tokens, cast(int, lm.tokenizer.eos_token_id)] if is_whole else list(tokens)), num_given


def longest_of(lengths: Sequence[int], lm: TransformersLM, max_length: int | None) -> int:
    """Returns the tokens of the longest lesson, its end included.

    Raises ValueError where there is no lesson, and where one is longer than `max_length` or than the model can read.
    """
    if not lengths:
        raise ValueError("expected at least one lesson, got none")
    longest = max(lengths)
    readable = getattr(lm.model.config.get_text_config(), "max_position_embeddings", None)
    limit = min((length for length in (max_length, readable) if length is not None), default=longest)
    if longest > limit:
        raise ValueError(f"lessons must have at most {limit} tokens, got one of {longest}")
    return longest


@dataclass(frozen=True)
class Lent:
    """A model lent to a trainer of TRL, which leaves it as it was but for its weights."""

    lm: TransformersLM
    settings: FineTuning
    out: Path
    logs: Path

    def arguments(self, num_rows: int, longest: int, texts_a_row: int = 1) -> dict[str, Any]:
        """Returns what every trainer is told: `num_rows` rows, each of so many texts of at most `longest` tokens."""
        settings, lm = self.settings, self.lm
        logits = longest * texts_a_row * lm.model.config.get_text_config().vocab_size
        at_once = rows_at_once(settings.batch_size, logits)
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(self.logs)
        return {
            "output_dir": str(self.out),
            "num_train_epochs": settings.epochs,
            "per_device_train_batch_size": at_once,
            "gradient_accumulation_steps": settings.batch_size // at_once,
            "learning_rate": settings.lr,
            "lr_scheduler_type": "linear",
            "warmup_steps": math.ceil(settings.warmup_share * settings.epochs * num_rows / settings.batch_size),
            "max_length": longest,
            "seed": settings.seed,
            "data_seed": settings.seed,
            "bf16": multiplies_bfloat16(lm.model.device),
            "use_cpu": lm.model.device.type == "cpu",
            "gradient_checkpointing": False,
            "save_strategy": "no",
            "report_to": "tensorboard",
            "logging_steps": 10,
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            "dataset_num_proc": None,
        }

    def train(self, make: Callable[[], Trainer]) -> float:
        """Trains, writes model and tokenizer in the model's own dtype, and returns the mean loss."""
        lm = self.lm
        dtype = lm.model.dtype
        lm.model.float()  # the trainer computes in bfloat16, but bfloat16 weights would round small updates away
        lm.model.set_attn_implementation("eager")  # on short sequences its backward pass is twice as fast
        with (
            contextlib.redirect_stdout(io.StringIO()),  # the trainer prints a dict at every logging step
            low_rank_changes(lm.model, self.settings.lora_rank)
            if self.settings.lora_rank
            else contextlib.nullcontext(),
        ):
            trainer = make()
            loss = float(trainer.train().training_loss)
        trainer.accelerator.unwrap_model(lm.model, keep_fp32_wrapper=False)  # else it computes in bfloat16 from now on
        lm.model.set_attn_implementation("sdpa")
        lm.model.eval().to(dtype).save_pretrained(self.out)  # type: ignore[arg-type]
        lm.tokenizer.save_pretrained(self.out)
        return loss


def rows_at_once(batch_size: int, logits: int) -> int:
    """Returns how many rows go through the model at once: a divisor of the batch size whose logits fit in memory.

    `logits` is the number of logits of one row at most. A batch in parts gives the same gradient.
    """
    divisors = [part for part in range(1, batch_size + 1) if batch_size % part == 0]
    return max((part for part in divisors if part * logits <= _LOGITS), default=1)
