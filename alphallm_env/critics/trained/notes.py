"""Notes on a solution, which a critic reads before it judges: one mark per line, taken by a reader.

The reader is the policy itself: a model that solves more than the policy would make of every search a look at its
solutions. It solves the question once, greedily, and then reads the solution line by
line. A line's mark has two parts: a digit for the probability of the line's least likely token (9 is certain), and T
or F, whether the line's last number occurs in the reader's own solution (in the line of the answer: whether it is the
reader's answer). A critic that generates a rationale before it judges beats one that does not (Zhang et al. 2024,
Generative Verifiers); marks are a short rationale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from alphallm_env.critics.provenance import Provenance, model_provenance
from alphallm_env.lm.base import (
    Completion,
    GenerationRequest,
    LanguageModel,
    Passage,
    Reading,
    clear_caches,
    generation,
    is_reproducible,
)
from alphallm_env.lm.prompts import PromptTemplate, plain
from alphallm_env.runtime.computing import Pass
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, Role, Usage, Work, current_meter
from alphallm_env.runtime.result_cache import evict_oldest
from alphallm_env.types import State

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ANSWER = re.compile(r"^\s*####")
_SCALE = 1.5  # digits per nat
_MOST_KEPT = 200_000  # cached solutions; cached readings, as many
_LIMIT_FILE = "notes.json"  # in the critics' folder
DEFAULT_MAX_TOKENS = 120  # of the reader's own solution


@runtime_checkable
class Reader(Protocol):
    """A language model that generates text, and scores given text."""

    @property
    def name(self) -> str:
        """Folder or hub name."""
        ...

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns one completion per request, in order."""
        ...

    def read(self, passages: Sequence[Passage]) -> list[Reading]:
        """Returns one reading per passage, in order."""
        ...

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the model's tokenizer makes of `text`."""
        ...


def lines_of(solution: str) -> tuple[str, ...]:
    """Returns the lines of a solution, each with its newline.

    >>> lines_of("2 + 3 = 5\\n#### 5")
    ('2 + 3 = 5\\n', '#### 5')
    """
    return tuple(solution.splitlines(keepends=True))


def mark(line: str, lowest: float, own: str) -> str:
    """Returns the mark of one line; `own` is the reader's solution.

    >>> mark("2 + 3 = 5", -0.1, "3 + 2 = 5")
    '9T'
    >>> mark("#### 3", -4.0, "3 + 2 = 5\\n#### 5")
    '3F'
    """
    certainty = min(9, max(0, round(9 + _SCALE * lowest)))
    numbers, own_numbers = _NUMBER.findall(line), _NUMBER.findall(own)
    wanted = own_numbers[-1:] if _ANSWER.match(line) else own_numbers
    agrees = not numbers or numbers[-1] in wanted
    return f"{certainty}{'T' if agrees else 'F'}"


class NoteTaker:
    """Takes notes through the engine, and caches them; a search pays once for each question and solution.

    A result cached by another search is counted again but not computed again, so that the cost of a search does not
    depend on what runs beside it.
    """

    def __init__(
        self, reader: Reader, template: PromptTemplate, engine: Engine, max_tokens: int = DEFAULT_MAX_TOKENS
    ) -> None:
        self._reader = reader
        self._template = template
        self._engine = engine
        self._max_tokens = max_tokens
        self._solutions: dict[str, Pass] = {}  # by question: its prompt, and the solution
        self._readings: dict[Passage, Reading] = {}
        self._paid: WeakKeyDictionary[Meter, set[Hashable]] = WeakKeyDictionary()

    @property
    def is_reproducible(self) -> bool:
        """Whether the reader's text and readings do not depend on the other items of a batch."""
        return is_reproducible(self._reader)

    @property
    def provenance(self) -> Provenance:
        """The reader's model."""
        return model_provenance("notes", self._reader)

    @property
    def solvers(self) -> tuple[LanguageModel, ...]:
        """The reader, which solves every question for the notes."""
        return (self._reader,) if isinstance(self._reader, LanguageModel) else ()

    def clear_cache(self) -> None:
        """Clears the cached solutions and readings, and the reader's own cache."""
        self._solutions.clear()
        self._readings.clear()
        clear_caches(self._reader)

    async def take(self, questions: Sequence[str], solutions: Sequence[str]) -> list[str]:
        """Returns the notes on each solution, one mark per line; empty notes for an empty solution."""
        own = await self._own_solutions(questions)
        passages = [
            Passage(self._template.solve(q, ""), lines_of(plain(s))) for q, s in zip(questions, solutions, strict=True)
        ]
        readings = await self._read([passage for passage in passages if passage.lines])
        return [
            "".join(mark(line, lowest, own[q]) for line, lowest in zip(p.lines, readings[p].lowest, strict=True))
            if p.lines
            else ""
            for q, p in zip(questions, passages, strict=True)
        ]

    async def _own_solutions(self, questions: Sequence[str]) -> dict[str, str]:
        different = list(dict.fromkeys(questions))
        found = {question: self._solutions[question] for question in different if question in self._solutions}
        missing = [question for question in different if question not in found]
        requests = [
            GenerationRequest(
                self._template.solve(question, ""), 0, self._max_tokens,
                temperature=0.0, stop_text=self._template.stop_text,
            )
            for question in missing
        ]  # fmt: skip
        written = await self._engine.submit(generation(self._reader), requests, role=Role.CRITIC)
        computed: dict[str, Work] = {}
        for question, request, completion in zip(missing, requests, written, strict=True):
            num_read = self._reader.count_tokens(request.prompt)
            found[question] = request.prompt, num_read, completion.text, completion.num_tokens
            self._solutions[question] = found[question]
            computed[question] = Work(generated=completion.num_tokens, prefilled=completion.prompt_tokens)
        for question in different:
            self._pay(question, found[question], computed.get(question, Work()))
        evict_oldest(self._solutions, _MOST_KEPT)
        return {question: text for question, (_, _, text, _) in found.items()}

    async def _read(self, passages: Sequence[Passage]) -> dict[Passage, Reading]:
        different = list(dict.fromkeys(passages))
        found = {passage: self._readings[passage] for passage in different if passage in self._readings}
        missing = [passage for passage in different if passage not in found]
        readings = await self._engine.submit(self._reader.read, missing, role=Role.CRITIC)
        fresh = dict(zip(missing, readings, strict=True))
        found |= fresh
        self._readings |= fresh
        for passage in different:
            read = fresh[passage].num_tokens - fresh[passage].saved_tokens if passage in fresh else 0
            text = passage.prompt + "".join(passage.lines)
            self._pay(passage, (text, found[passage].num_tokens, "", 0), Work(prefilled=read))
        evict_oldest(self._readings, _MOST_KEPT)
        return found

    def _pay(self, what: Hashable, passed: Pass, computed: Work) -> None:
        """Charges the search once for a pass, of whose tokens some were `computed` now and the others cached."""
        meter = current_meter()
        paid = self._paid.setdefault(meter, set())
        if what not in paid:
            paid.add(what)
            meter.computed(self._reader, [passed])
            num_tokens = passed[1] + passed[3]
            saved = num_tokens - computed.generated - computed.prefilled
            meter.add(Usage(critic_tokens=num_tokens, critic=computed + Work(saved=saved)))
        else:
            meter.worked(Role.CRITIC, computed)


def save_notes_limit(folder: Path, max_tokens: int) -> None:
    """Writes the token limit of the reader's own solutions into the critics' folder."""
    (folder / _LIMIT_FILE).write_text(json.dumps({"max_tokens": max_tokens}) + "\n")


def load_notes_limit(folder: Path) -> int | None:
    """Returns the limit that `save_notes_limit` wrote, None where critics judge without notes."""
    path = folder / _LIMIT_FILE
    return int(json.loads(path.read_text())["max_tokens"]) if path.is_file() else None


async def notes_on(taker: NoteTaker | None, states: Sequence[State]) -> list[str]:
    """Returns the notes on each state's solution, empty ones without a note taker."""
    if taker is None:
        return [""] * len(states)
    return await taker.take([state.question for state in states], [state.text for state in states])
