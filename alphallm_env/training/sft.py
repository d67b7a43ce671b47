"""Supervised fine-tuning on solutions, with TRL's SFTTrainer: the loss is on the solution only. PAPER §4 (4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import Trainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.training.base import FineTuneResult, FineTuning, Lesson
from alphallm_env.training.trainers import Lent, longest_of, tokens_of


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
        rows = [row_of(lesson, lm, template) for lesson in lessons]
        longest = longest_of([len(row["input_ids"]) for row in rows], lm, settings.max_length)
        self.check_weights(lessons)
        lent = Lent(lm, settings, out, logs)
        arguments = SFTConfig(**lent.arguments(len(rows), longest), completion_only_loss=True)
        return FineTuneResult(lent.train(lambda: self.trainer(lm, arguments, rows, lessons)), len(rows))

    def check_weights(self, lessons: Sequence[Lesson]) -> None:
        """Raises ValueError where a weight would be ignored."""
        if different := sorted({lesson.weight for lesson in lessons} - {1.0}):
            raise ValueError(f"supervised fine-tuning takes lessons of weight 1, got {', '.join(map(str, different))}")

    def trainer(
        self,
        lm: TransformersLM,
        arguments: SFTConfig,
        rows: Sequence[dict[str, list[int]]],
        lessons: Sequence[Lesson],  # noqa: ARG002
    ) -> Trainer:
        """Returns the trainer of these rows, one for each lesson."""
        return SFTTrainer(
            model=lm.model, args=arguments, train_dataset=Dataset.from_list(list(rows)), processing_class=lm.tokenizer
        )


class WeightedFineTuner(SupervisedFineTuner):
    """Imitates the solution of each lesson by as much as the lesson weighs beside the others."""

    def check_weights(self, lessons: Sequence[Lesson]) -> None:
        """Raises ValueError where no lesson weighs anything."""
        if not any(lesson.weight > 0 for lesson in lessons):
            raise ValueError(f"expected a lesson of a weight above 0, got {len(lessons)} of weight 0")

    def trainer(
        self,
        lm: TransformersLM,
        arguments: SFTConfig,
        rows: Sequence[dict[str, list[int]]],
        lessons: Sequence[Lesson],
    ) -> Trainer:
        """Returns the trainer of these rows, whose weights are 1 in the mean."""
        arguments.remove_unused_columns = False
        mean = sum(lesson.weight for lesson in lessons) / len(lessons)
        weighted = [{**row, "weight": lesson.weight / mean} for row, lesson in zip(rows, lessons, strict=True)]
        trainer = _WeightedTrainer(
            model=lm.model, args=arguments, train_dataset=Dataset.from_list(weighted), processing_class=lm.tokenizer
        )
        trainer.data_collator = _WithWeights(trainer.data_collator)
        return trainer


@dataclass(frozen=True)
class _WithWeights:
    """Collates rows as `collate` does, and their weights beside them."""

    collate: Any

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        weights = torch.tensor([row["weight"] for row in rows])
        batch = self.collate([{name: row[name] for name in row if name != "weight"} for row in rows])
        return {**batch, "weight": weights}


class _WeightedTrainer(SFTTrainer):
    """The loss is the mean over all learnt tokens of a batch of their cross-entropy times the weight of their row."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        weights = inputs.pop("weight")
        labels = inputs.pop("labels")[:, 1:]
        outputs = model(**inputs, use_cache=False)
        losses = cross_entropy(outputs.logits[:, :-1].float().transpose(1, 2), labels, reduction="none")
        num_tokens = (labels != -100).sum() if num_items_in_batch is None else num_items_in_batch
        loss = (losses * weights[:, None]).sum() / num_tokens  # that of a label of -100 is 0
        return (loss, outputs) if return_outputs else loss


def row_of(lesson: Lesson, lm: TransformersLM, template: PromptTemplate) -> dict[str, list[int]]:
    """Returns the tokens of a lesson, its end included, and which of them are learnt."""
    tokens, num_given = tokens_of(
        lm, template, lesson.question, lesson.prefix, lesson.solution, is_whole=lesson.is_whole
    )
    return {"input_ids": tokens, "completion_mask": [0] * num_given + [1] * (len(tokens) - num_given)}
