"""Fine-tuning on preferences: what a search took, and what lost to it, by TRL's DPOTrainer and KTOTrainer.

Both come after imitation of the lessons, whose result is the reference that the policy is not to leave.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import Trainer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.training.base import FineTuneResult, FineTuning, Lesson
from alphallm_env.training.sft import SupervisedFineTuner
from alphallm_env.training.trainers import Lent, longest_of, tokens_of

_TEXTS = ("chosen_ids", "rejected_ids", "completion_ids")  # of a row, each behind its prompt


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
class AfterImitation(ABC):
    """Imitates the lessons, then learns from rows of tokens that tell good from bad; what both fine-tuners share.

    `beta` is how much it costs to leave the imitating policy. The learning rate is `lr_share` of that of the imitation.
    """

    name: ClassVar[str]  # of the folder of its event files
    beta: float = 0.1
    lr_share: float = 0.1

    def fine_tune(
        self,
        lm: TransformersLM,
        template: PromptTemplate,
        lessons: Sequence[Lesson],
        settings: FineTuning,
        out: Path,
        logs: Path,
    ) -> FineTuneResult:
        """Fine-tunes the model in place and writes it to `out`; the loss is that of the trainer of the rows.

        Lessons that give no row are imitated alone; where the rows say nothing, the loss is that of the imitation.
        Raises ValueError where there is no lesson, or a text is longer than `max_length` tokens or than the model can
        read.
        """
        rows = [row for lesson in lessons for row in self.rows(lesson, lm, template)]
        longest = longest_of([_length(row) for row in rows], lm, settings.max_length) if rows else 0
        imitated = SupervisedFineTuner().fine_tune(lm, template, lessons, settings, out, logs)
        if not self.tell(rows):
            return imitated
        lent = Lent(lm, replace(settings, lr=settings.lr * self.lr_share), out, logs / self.name)
        arguments = lent.arguments(len(rows), longest, texts_a_row=2)
        arguments |= {"beta": self.beta, "precompute_ref_log_probs": True}
        return FineTuneResult(lent.train(lambda: self.trainer(lm, arguments, rows)), imitated.num_lessons)

    @abstractmethod
    def rows(self, lesson: Lesson, lm: TransformersLM, template: PromptTemplate) -> Iterator[dict[str, Any]]:
        """Yields the rows of a lesson: `prompt_ids`, and what may follow it."""

    @abstractmethod
    def tell(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Returns whether there is anything to learn from the rows."""

    @abstractmethod
    def trainer(self, lm: TransformersLM, arguments: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Trainer:
        """Returns the trainer of the rows."""


def _length(row: Mapping[str, Any]) -> int:
    """Returns the tokens of a row's prompt and of the longest text behind it."""
    return len(row["prompt_ids"]) + max(len(row[name]) for name in row if name in _TEXTS)


@dataclass(frozen=True)
class DirectPreference(AfterImitation):
    """Imitates the lessons, then prefers what they took over what they rejected: DPO, Rafailov et al. 2023.

    A pair's rejected text is worse by at least `margin`, and a lesson gives `most_pairs` of whole solutions and as many
    of options. The loss is in nats a pair.
    """

    name: ClassVar[str] = "dpo"
    margin: float = 0.5
    most_pairs: int = 4

    def rows(self, lesson: Lesson, lm: TransformersLM, template: PromptTemplate) -> Iterator[dict[str, Any]]:
        """Yields a row for each pair of a lesson."""
        for pair in chosen_pairs(lesson, self.margin, self.most_pairs):
            yield _pair_row(pair, lm, template)

    def tell(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Returns whether there is a pair."""
        return bool(rows)

    def trainer(self, lm: TransformersLM, arguments: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Trainer:
        """Returns DPO's trainer."""
        return _PairTrainer(
            model=lm.model, args=DPOConfig(**arguments), train_dataset=Dataset.from_list(list(rows)),
            processing_class=lm.tokenizer,
        )  # fmt: skip


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
class LabelledOptions(AfterImitation):
    """Imitates the lessons, then wants or shuns each option that a search tried: KTO, Ethayarajh et al. 2024.

    An option of a decision is wanted where its value is at least `threshold`, a whole solution where its score is.
    Both labels weigh the same in all. Lessons without decisions or rejected solutions have no labels.
    """

    name: ClassVar[str] = "kto"
    threshold: float = 0.5

    def rows(self, lesson: Lesson, lm: TransformersLM, template: PromptTemplate) -> Iterator[dict[str, Any]]:
        """Yields a row for each whole solution and each option of a lesson, with its label."""
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

    def tell(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Returns whether both labels occur."""
        return len({row["label"] for row in rows}) == 2

    def trainer(self, lm: TransformersLM, arguments: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Trainer:
        """Returns KTO's trainer."""
        arguments["max_length"] = None  # a neighbour's completion behind the longest prompt is not cut either
        if arguments["per_device_train_batch_size"] == 1:  # a row needs a neighbour, below
            halved = max(1, arguments["gradient_accumulation_steps"] // 2)
            arguments |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": halved}
        wanted = sum(bool(row["label"]) for row in rows)
        settings = KTOConfig(
            **arguments, train_sampling_strategy="sequential", undesirable_weight=wanted / (len(rows) - wanted)
        )
        # Neighbours lend each other their completions: those of one question must not stand together.
        shuffled = Dataset.from_list(list(rows)).shuffle(seed=settings.seed)
        return _LabelTrainer(model=lm.model, args=settings, train_dataset=shuffled, processing_class=lm.tokenizer)


class _LabelTrainer(KTOTrainer):
    """KTO on rows that are tokens already. Each row has its neighbour's completion, by which the KL term is told."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:  # noqa: ARG002
        completions = dataset["completion_ids"]
        return dataset.add_column("KL_completion_ids", [completions[-1], *completions[:-1]])
