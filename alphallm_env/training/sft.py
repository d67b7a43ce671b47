"""Supervised fine-tuning on solutions, with TRL's SFTTrainer: the loss is on the solution only. PAPER §4 (4)."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from datasets import Dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import PromptTemplate, plain_solution, without_opening
from alphallm_env.training.base import FineTuneResult, FineTuning, Lesson
from alphallm_env.training.precision import multiplies_bfloat16

_LOGITS = 2**28  # of one forward pass: a gibibyte in float32, and its gradient as much again


class SupervisedFineTuner:
    """Imitates the solution of each lesson; what was rejected plays no part."""

    def fine_tune(
        self,
        lm: TransformersLM,
        template: PromptTemplate,
        lessons: Sequence[Lesson],
        settings: FineTuning,
        out: Path,
        logs: Path,
    ) -> FineTuneResult:
        """Fine-tunes the model in place and writes it, in its own dtype, to `out`; the loss is in nats per token.

        Raises ValueError where there is no lesson, one is longer than `max_length` tokens or than the model can read,
        or one has a weight of its own: all count alike here.
        """
        rows = [_row(lesson, lm, template) for lesson in lessons]
        longest = _longest(rows, lm, settings.max_length)
        _check_weights(lessons)
        at_once = _lessons_at_once(settings.batch_size, longest * lm.model.config.get_text_config().vocab_size)
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(logs)
        arguments = SFTConfig(
            output_dir=str(out),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=settings.batch_size // at_once,
            learning_rate=settings.lr,
            lr_scheduler_type="linear",
            warmup_steps=math.ceil(settings.warmup_share * settings.epochs * len(rows) / settings.batch_size),
            max_length=longest,
            completion_only_loss=True,
            seed=settings.seed,
            data_seed=settings.seed,
            bf16=multiplies_bfloat16(lm.model.device),
            use_cpu=lm.model.device.type == "cpu",
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="tensorboard",
            logging_steps=10,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            dataset_num_proc=None,
        )
        dtype = lm.model.dtype
        lm.model.float()  # the trainer computes in bfloat16, but bfloat16 weights would round small updates away
        lm.model.set_attn_implementation("eager")  # on short sequences its backward pass is twice as fast
        with contextlib.redirect_stdout(io.StringIO()):  # the trainer prints a dict at every logging step
            trainer = SFTTrainer(
                model=lm.model,
                args=arguments,
                train_dataset=Dataset.from_list(rows),
                processing_class=lm.tokenizer,
            )
            loss = float(trainer.train().training_loss)
        trainer.accelerator.unwrap_model(lm.model, keep_fp32_wrapper=False)  # else it computes in bfloat16 from now on
        lm.model.set_attn_implementation("sdpa")
        lm.model.eval().to(dtype).save_pretrained(out)  # type: ignore[arg-type]
        lm.tokenizer.save_pretrained(out)
        return FineTuneResult(loss, len(rows))


def _row(lesson: Lesson, lm: TransformersLM, template: PromptTemplate) -> dict[str, list[int]]:
    """Returns the tokens of a lesson, its end included, and which of them are learnt."""
    prompt = template.solve(lesson.question, lesson.prefix)
    text = prompt + without_opening(prompt, plain_solution(lesson.solution))
    given, tokens = lm.vocabulary.encode([prompt, text])
    num_given = next((at for at, pair in enumerate(zip(given, tokens, strict=False)) if pair[0] != pair[1]), len(given))
    if lesson.is_whole:
        tokens = [*tokens, cast(int, lm.tokenizer.eos_token_id)]
    return {"input_ids": tokens, "completion_mask": [0] * num_given + [1] * (len(tokens) - num_given)}


def _longest(rows: Sequence[dict[str, list[int]]], lm: TransformersLM, max_length: int | None) -> int:
    """Returns the tokens of the longest lesson, its end included. Raises ValueError where it is longer than allowed."""
    if not rows:
        raise ValueError("expected at least one lesson, got none")
    longest = max(len(row["input_ids"]) for row in rows)
    readable = getattr(lm.model.config.get_text_config(), "max_position_embeddings", None)
    limit = min((length for length in (max_length, readable) if length is not None), default=longest)
    if longest > limit:
        raise ValueError(f"lessons must have at most {limit} tokens, got one of {longest}")
    return longest


def _lessons_at_once(batch_size: int, logits: int) -> int:
    """Returns how many lessons go through the model at once: a divisor of the batch size whose logits fit in memory.

    `logits` is the number of logits of one lesson at most. A batch in parts gives the same gradient.
    """
    divisors = [part for part in range(1, batch_size + 1) if batch_size % part == 0]
    return max((part for part in divisors if part * logits <= _LOGITS), default=1)


def _check_weights(lessons: Sequence[Lesson]) -> None:
    if different := sorted({lesson.weight for lesson in lessons} - {1.0}):
        raise ValueError(f"supervised fine-tuning takes lessons of weight 1, got {', '.join(map(str, different))}")
