"""PRM and ORM by text generation: p(True) / (p(True) + p(False)) after the critic's prompt. PAPER §3."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from alphallm_env.critics.base import CompositeCritic, last_option
from alphallm_env.critics.provenance import Provenance, model_provenance
from alphallm_env.critics.trained.notes import NoteTaker, notes_on
from alphallm_env.errors import CriticError
from alphallm_env.lm.base import AsyncLabelling, LabelProbs, LanguageModel
from alphallm_env.lm.prompts import LABELS, PromptTemplate
from alphallm_env.runtime.counting import count_scored
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role
from alphallm_env.runtime.operations import AsyncOperation, Operation
from alphallm_env.types import State


@dataclass(frozen=True)
class Labeller:
    """Queries a model for the probabilities of True and False.

    Each labeller has a queue of its own in the engine, which compares bound methods by their object: only prompts of
    one labeller share a batch.
    """

    lm: LanguageModel
    labels: tuple[str, str] = LABELS  # True and False as the template writes them

    def judge(self, prompts: Sequence[str]) -> list[LabelProbs]:
        """Returns the probabilities of True and False after each prompt."""
        return self.lm.label_probs(prompts, self.labels)

    @cached_property
    def operation(self) -> Operation[str, LabelProbs]:
        """The operation for an engine: `judge`, or its asynchronous form where the model batches by itself."""
        if isinstance(self.lm, AsyncLabelling):
            return AsyncOperation(partial(self.lm.label_probs_async, labels=self.labels))
        return self.judge

    async def share_true(self, engine: Engine, prompts: Sequence[str]) -> list[float]:
        """Returns p(True) / (p(True) + p(False)) per prompt. Counts the tokens read."""
        answers = await engine.submit(self.operation, prompts, role=Role.CRITIC)
        count_scored(self.lm, prompts, answers)
        return [share_of_true(answer.probs, self.labels) for answer in answers]


LEAST_MASS = 1e-3  # of the labels together: below it, their ratio says nothing


def share_of_true(probs: tuple[float, ...], labels: tuple[str, str] = LABELS) -> float:
    """Returns p(True) / (p(True) + p(False)).

    Raises CriticError where both together are less likely than `LEAST_MASS`: the model does not answer the question,
    as behind a prompt that opens a thinking part, or in another wording of the labels.
    """
    true, false = probs
    if not true + false >= LEAST_MASS:
        raise CriticError(
            f"expected a probability of at least {LEAST_MASS} on the labels {labels[0]!r} and {labels[1]!r} together, "
            f"got {true:.3g} and {false:.3g}: the model does not answer with them after this template's prompt"
        )
    return true / (true + false)


class GenerativeCritic(CompositeCritic):
    """The base of PRM and ORM: takes notes if it has a note taker, renders a prompt, queries True and False."""

    def __init__(
        self, lm: LanguageModel, template: PromptTemplate, engine: Engine, notes: NoteTaker | None = None
    ) -> None:
        super().__init__(lm, notes)
        self._labeller = Labeller(lm, template.labels)
        self._template = template
        self._engine = engine
        self._notes = notes

    @abstractmethod
    def prompt(self, state: State, notes: str = "") -> str:
        """Returns the prompt after which the probabilities of True and False are read."""

    @property
    def provenance(self) -> Provenance:
        """The model, the wording of the prompt, and the reader of the notes."""
        parts = () if self._notes is None else (self._notes.provenance,)
        return model_provenance(self.name, self._labeller.lm, self._template, parts=parts)

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns p(True) / (p(True) + p(False)) in [0, 1] of each state, in order."""
        notes = await notes_on(self._notes, states)
        return await self._labeller.share_true(self._engine, list(map(self.prompt, states, notes)))


class ProcessRewardModel(GenerativeCritic):
    """PRM: how likely the last option of a state is a correct step, given what came before."""

    name = "prm"

    def prompt(self, state: State, notes: str = "") -> str:
        """Returns the prompt that judges the last option. Raises CriticError at an initial state."""
        before, option = last_option(state)
        return self._template.judge_step(state.question, before.text, option.text, notes)


class OutcomeRewardModel(GenerativeCritic):
    """ORM: how likely the whole solution of a state is correct."""

    name = "orm"

    def prompt(self, state: State, notes: str = "") -> str:
        """Returns the prompt that judges the whole solution."""
        return self._template.judge_outcome(state.question, state.text, notes)
