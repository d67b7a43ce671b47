"""Distils trajectories into a policy with TRL's SFTTrainer: loss on the solution only. PAPER §4 (4)."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import PromptTemplate, plain
from alphallm_env.training.precision import multiplies_bfloat16


@dataclass(frozen=True)
class DistillConfig:
    """Settings of one fine-tuning. `max_length` is checked, never silently truncated to."""

    epochs: int = 3
    batch_size: int = 32
    lr: float = 1e-3
    warmup_share: float = 0.1
    max_length: int = 512
    seed: int = 0


@dataclass(frozen=True)
class Lesson:
    """A question and the solution that the policy should learn to write."""

    question: str
    solution: str


def distill(
    lm: TransformersLM,
    template: PromptTemplate,
    lessons: Sequence[Lesson],
    config: DistillConfig,
    folder: Path,
    logs: Path,
) -> float:
    """Fine-tunes the model in place and writes it, in its own dtype, to `folder`; event files go to `logs`.

    Returns the mean training loss in nats per token. Raises ValueError where there is no lesson or one is
    longer than `max_length` tokens.
    """
    rows = [{"prompt": template.solve(x.question, ""), "completion": plain(x.solution)} for x in lessons]
    _check_lengths(rows, lm, config.max_length)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(logs)
    arguments = SFTConfig(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.lr,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(config.warmup_share * config.epochs * len(rows) / config.batch_size),
        max_length=config.max_length,
        seed=config.seed,
        data_seed=config.seed,
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
    lm.model.eval().to(dtype).save_pretrained(folder)  # type: ignore[arg-type]
    lm.tokenizer.save_pretrained(folder)
    return loss


def _check_lengths(rows: Sequence[dict[str, str]], lm: TransformersLM, max_length: int) -> None:
    if not rows:
        raise ValueError("expected at least one lesson to distil, got none")
    lengths = [lm.count_tokens(row["prompt"] + row["completion"]) + 1 for row in rows]
    if max(lengths) > max_length:
        raise ValueError(f"lessons must have at most {max_length} tokens, got one of {max(lengths)}")
