"""Fine-tuning on preferences: what a search took, and what lost to it, by TRL's DPOTrainer and KTOTrainer.

Both come after imitation of the lessons, whose result is the reference that the policy is not to leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.training.base import FineTuneResult, FineTuning, Lesson
from alphallm_env.training.sft import SupervisedFineTuner
from alphallm_env.training.trainers import Lent, longest_of, tokens_of


@dataclass(frozen=True)
class Pair:
    """Two texts after the same prefix of a solution, of which the first is better."""

    question: str
    prefix: str
    chosen: str
    rejected: str
    is_whole: bool  # whether both are the rest of a solution, not single options


def pairs_of(lesson: Lesson, margin: float) -> Iterator[Pair]:
    """Yields a lesson's pairs: whole solutions, and the option taken at each decision with its siblings.

    What was rejected is worse by at least `margin`, of a score or of an option's value.
    """
    for other in lesson.rejected:
        if other.score <= lesson.score - margin and other.solution != lesson.solution:
            yield Pair(lesson.question, "", lesson.solution, other.solution, is_whole=True)
    for decision in lesson.decisions:
        chosen = decision.options[decision.chosen]
        for option in decision.options:
            if option.value <= chosen.value - margin and option.text != chosen.text:
                yield Pair(lesson.question, decision.prefix, chosen.text, option.text, is_whole=False)


@dataclass(frozen=True)
class DirectPreference:
    """Imitates the lessons, then prefers what they took over what they rejected: DPO, Rafailov et al. 2023.

    `beta` is how much it costs to leave the imitating policy. The learning rate is `lr_share` of that of the imitation.
    A pair's rejected text is worse by at least `margin`, and a lesson gives `most_pairs` of whole solutions and as many
    of options.
    """

    beta: float = 0.1
    lr_share: float = 0.1
    margin: float = 0.5
    most_pairs: int = 4

    def fine_tune(
        self,
        lm: TransformersLM,
        template: PromptTemplate,
        lessons: Sequence[Lesson],
        settings: FineTuning,
        out: Path,
        logs: Path,
    ) -> FineTuneResult:
        """Fine-tunes the model in place and writes it to `out`; the loss is that of the preferences, in nats a pair.

        Lessons without a pair are imitated alone; where none has one, the loss is that of the imitation. Raises
        ValueError where there is no lesson, or a text is longer than `max_length` tokens or than the model can read.
        """
        rows = [
            _pair_row(pair, lm, template)
            for lesson in lessons
            for pair in chosen_pairs(lesson, self.margin, self.most_pairs)
        ]
        lengths = [len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in rows]
        longest = longest_of(lengths, lm, settings.max_length) if rows else 0
        imitated = SupervisedFineTuner().fine_tune(lm, template, lessons, settings, out, logs)
        if not rows:
            return imitated
        lent = Lent(lm, replace(settings, lr=settings.lr * self.lr_share), out, logs / "dpo")
        arguments = DPOConfig(
            **lent.arguments(len(rows), longest, texts_a_row=2), beta=self.beta, precompute_ref_log_probs=True
        )

        def trainer() -> _PairTrainer:
            return _PairTrainer(
                model=lm.model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=lm.tokenizer
            )

        return FineTuneResult(lent.train(trainer), imitated.num_lessons)


def chosen_pairs(lesson: Lesson, margin: float, most: int) -> list[Pair]:
    """Returns the first `most` pairs of whole solutions of a lesson, and the first `most` of its options."""
    pairs = list(pairs_of(lesson, margin))
    return [pair for kind in (True, False) for pair in [p for p in pairs if p.is_whole is kind][:most]]


def _pair_row(pair: Pair, lm: TransformersLM, template: PromptTemplate) -> dict[str, list[int]]:
    (chosen, given), (rejected, also_given) = (
        tokens_of(lm, template, pair.question, pair.prefix, text, is_whole=pair.is_whole)
        for text in (pair.chosen, pair.rejected)
    )
    given = min(given, also_given)
    return {"prompt_ids": chosen[:given], "chosen_ids": chosen[given:], "rejected_ids": rejected[given:]}


class _PairTrainer(DPOTrainer):
    """DPO on rows that are tokens already: TRL would write an end behind options, too."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:  # noqa: ARG002
        return dataset


@dataclass(frozen=True)
class LabelledOptions:
    """Imitates the lessons, then wants or shuns each option that a search tried: KTO, Ethayarajh et al. 2024.

    An option of a decision is wanted where its value is at least `threshold`, a whole solution where its score is.
    `beta` and `lr_share` are as those of DPO. Both labels weigh the same in all.
    """

    beta: float = 0.1
    lr_share: float = 0.1
    threshold: float = 0.5

    def fine_tune(
        self,
        lm: TransformersLM,
        template: PromptTemplate,
        lessons: Sequence[Lesson],
        settings: FineTuning,
        out: Path,
        logs: Path,
    ) -> FineTuneResult:
        """Fine-tunes the model in place and writes it to `out`; the loss is that of the labels.

        Lessons without decisions or rejected solutions are imitated alone, and all lessons where every label is the
        same. Raises ValueError as `DirectPreference` does.
        """
        rows = [row for lesson in lessons for row in self._rows(lesson, lm, template)]
        wanted = sum(bool(row["label"]) for row in rows)
        lengths = [len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows]
        longest = longest_of(lengths, lm, settings.max_length) if rows else 0
        imitated = SupervisedFineTuner().fine_tune(lm, template, lessons, settings, out, logs)
        if wanted in (0, len(rows)):
            return imitated
        lent = Lent(lm, replace(settings, lr=settings.lr * self.lr_share), out, logs / "kto")
        common = lent.arguments(len(rows), longest, texts_a_row=2)
        common["max_length"] = None  # a neighbour's completion behind the longest prompt is not cut either
        if common["per_device_train_batch_size"] == 1:  # a row needs a neighbour, below
            common |= {
                "per_device_train_batch_size": 2,
                "gradient_accumulation_steps": max(1, settings.batch_size // 2),
            }
        arguments = KTOConfig(
            **common, beta=self.beta, precompute_ref_log_probs=True, train_sampling_strategy="sequential",
            undesirable_weight=wanted / (len(rows) - wanted),
        )  # fmt: skip
        # Neighbours lend each other their completions: those of one question must not stand together.
        shuffled = Dataset.from_list(rows).shuffle(seed=settings.seed)

        def trainer() -> _LabelTrainer:
            return _LabelTrainer(model=lm.model, args=arguments, train_dataset=shuffled, processing_class=lm.tokenizer)

        return FineTuneResult(lent.train(trainer), imitated.num_lessons)

    def _rows(self, lesson: Lesson, lm: TransformersLM, template: PromptTemplate) -> Iterator[dict[str, Any]]:
        if not lesson.rejected and not lesson.decisions:
            return
        texts = [("", lesson.solution, lesson.score, True)]
        texts += [("", other.solution, other.score, True) for other in lesson.rejected]
        for decision in lesson.decisions:
            texts += [(decision.prefix, option.text, option.value, False) for option in decision.options]
        for prefix, text, score, is_whole in texts:
            tokens, given = tokens_of(lm, template, lesson.question, prefix, text, is_whole=is_whole)
            label = score >= self.threshold
            yield {"prompt_ids": tokens[:given], "completion_ids": tokens[given:], "label": label}


class _LabelTrainer(KTOTrainer):
    """KTO on rows that are tokens already. Each row has its neighbour's completion, by which the KL term is told."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:  # noqa: ARG002
        completions = dataset["completion_ids"]
        return dataset.add_column("KL_completion_ids", [completions[-1], *completions[:-1]])
