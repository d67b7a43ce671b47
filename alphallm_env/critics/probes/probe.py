"""Probes: value function, PRM and ORM that are linear in the hidden states of a language model, which stays as it is.

The model reads question and solution as it writes them. A probe sees its hidden states at the end of the solution so
far, and their mean over the ends of its lines; beside them whether the calculations that the solution states are
right (`calculations.py`), which a small model cannot tell. One reading serves all three critics, and of a solution
whose beginning was read only the new lines are computed. That hidden states tell whether a solution is right: Kadavath
et al. 2022 (P(IK)), Zhang et al. 2025 ("Reasoning models know when they're right").
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from alphallm_env.critics.base import last_option
from alphallm_env.critics.calculations import calculations
from alphallm_env.critics.provenance import Provenance, model_revision, prompt_version
from alphallm_env.errors import ModelError
from alphallm_env.lm.base import Embedding, clear_caches, is_reproducible
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.mdp.options import SentenceRule, split_options
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role, count_scored
from alphallm_env.types import State

WEIGHTS_FILE = "probes.safetensors"
TRUNK_FILE = "probes.json"
_NUM_CHECKS = 2
_MOST_KNOWN = 4_096  # ends of lines whose hidden states are kept


class HiddenStates(Protocol):
    """A language model that shows the hidden states after its layers."""

    @property
    def name(self) -> str:
        """Folder or hub name."""
        ...

    @property
    def precision(self) -> str:
        """What it computes in, such as float32."""
        ...

    def hidden_states(self, prompts: Sequence[str], layers: Sequence[int]) -> list[Embedding]:
        """Returns, per prompt, h / rms(h) after each of `layers` at its last token, [layers · width]."""
        ...


class ProbeTrunk:
    """A language model with the layers that probes read, and what is checked of the calculations in a solution."""

    def __init__(
        self, lm: HiddenStates, template: PromptTemplate, layers: Sequence[int], calculations: bool = True
    ) -> None:
        self.lm = lm
        self.template = template
        self.layers = tuple(layers)
        self.num_checks = _NUM_CHECKS if calculations else 0  # what `checks` returns for a state
        self._known: dict[str, Embedding] = {}  # by prompt, since the last `clear_cache`

    def prompts(self, state: State) -> list[str]:
        """Returns what the model reads of a state: as far as the end of each line, of the whole solution last."""
        ends = accumulate(split_options(state.text, SentenceRule()))
        return [self.template.solve(state.question, text) for text in ends] or [self.template.solve(state.question, "")]

    def read(self, states: Sequence[State]) -> list[Embedding]:
        """Returns what probes see of each state, [2 · layers · width + num_checks], and what that took to read."""
        found = zip(self.hidden_states(states), states, strict=True)
        return [replace(seen, vector=np.concatenate([seen.vector, self.checks(state)])) for seen, state in found]

    def checks(self, state: State) -> NDArray[np.float32]:
        """Returns whether a stated calculation is wrong, and whether none is stated, each 0 or 1, [num_checks]."""
        stated = calculations(state.text) if self.num_checks else []
        wrong = any(not calculation.is_right for calculation in stated)
        return np.array([wrong, not stated], np.float32)[: self.num_checks]

    def hidden_states(self, states: Sequence[State]) -> list[Embedding]:
        """Returns what the model makes of each state, [2 · layers · width], and what that took to read."""
        asked = [self.prompts(state) for state in states]
        computed: Counter[str] = Counter()
        questions = [self.template.solve(state.question, "") for state in states]
        levels: list[Sequence[str | None]] = [questions, *zip_longest(*asked)]
        for level in levels:  # so that each line finds what is before it read
            new = [prompt for prompt in dict.fromkeys(level) if prompt is not None and prompt not in self._known]
            found = self.lm.hidden_states(new, self.layers)
            self._known |= dict(zip(new, found, strict=True))
            computed.update({prompt: e.num_tokens - e.saved_tokens for prompt, e in zip(new, found, strict=True)})
        seen = [self._seen(question, ends, computed) for question, ends in zip(questions, asked, strict=True)]
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        return seen

    def _seen(self, question: str, prompts: Sequence[str], computed: Counter[str]) -> Embedding:
        """Returns what probes see of a state; what was computed for it counts for the first that asks."""
        ends = [self._known[prompt] for prompt in prompts]
        vector = np.concatenate([ends[-1].vector, np.mean([end.vector for end in ends], axis=0)])
        num_read = sum(computed.pop(prompt, 0) for prompt in (question, *prompts))
        return Embedding(vector, ends[-1].num_tokens, max(0, ends[-1].num_tokens - num_read))

    def clear_cache(self) -> None:
        """Drops what was read."""
        self._known.clear()
        clear_caches(self.lm)


@dataclass(frozen=True, eq=False)
class Probe:
    """σ(weight · x + bias) of what a trunk reads, x of [2 · layers · width + num_checks]."""

    weight: NDArray[np.float32]
    bias: float

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Returns scores in [0, 1], [texts], of vectors [texts, 2 · layers · width + num_checks]."""
        logits = vectors.astype(np.float64) @ self.weight.astype(np.float64) + self.bias
        return 0.5 * (1.0 + np.tanh(0.5 * logits))


class ProbeCritic:
    """A critic by a probe: as `value` of the state, as `prm` of its last option, as `orm` of the whole solution."""

    def __init__(self, name: str, trunk: ProbeTrunk, probe: Probe, engine: Engine) -> None:
        self.name = name
        self._trunk = trunk
        self._probe = probe
        self._engine = engine

    @property
    def is_reproducible(self) -> bool:
        """Whether a score does not depend on what is judged beside it."""
        return is_reproducible(self._trunk.lm)

    @property
    def provenance(self) -> Provenance:
        """The model that is read, and the wording around what it reads."""
        lm = self._trunk.lm
        return Provenance(self.name, lm.name, model_revision(lm), prompt_version(self._trunk.template))

    def clear_cache(self) -> None:
        """Drops what was read."""
        self._trunk.clear_cache()

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the probe's score in [0, 1] of each state. A PRM raises CriticError at an initial state."""
        if not states:
            return []
        if self.name == "prm":
            for state in states:
                last_option(state)
        found = await self._engine.submit(self._trunk.read, states, role=Role.CRITIC)
        count_scored(found)
        return self._probe(np.stack([embedding.vector for embedding in found])).tolist()


@dataclass(frozen=True)
class TrunkRecord:
    """Which model probes were fitted to, the layers that they read, and whether they see `ProbeTrunk.checks`."""

    model: str  # folder or hub name
    revision: str | None
    layers: tuple[int, ...]
    calculations: bool = True


def save_probes(folder: Path, probes: Mapping[str, Probe], record: TrunkRecord) -> None:
    """Writes the probes' weights, and which model they belong to. The model itself is not copied."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{name}.weight": probe.weight for name, probe in probes.items()}
    arrays |= {f"{name}.bias": np.array(probe.bias, np.float32) for name, probe in probes.items()}
    save_file(arrays, folder / WEIGHTS_FILE)
    (folder / TRUNK_FILE).write_text(json.dumps(asdict(record), indent=2) + "\n")


def load_probes(folder: Path) -> tuple[dict[str, Probe], TrunkRecord]:
    """Returns the probes in a folder by name. Raises ModelError where there are none, or they cannot be read."""
    try:
        arrays = load_file(folder / WEIGHTS_FILE)
        fields = json.loads((folder / TRUNK_FILE).read_text())
        record = TrunkRecord(
            str(fields["model"]),
            fields["revision"],
            tuple(map(int, fields["layers"])),
            bool(fields.get("calculations", False)),
        )
        names = [name.removesuffix(".weight") for name in arrays if name.endswith(".weight")]
        return {name: Probe(arrays[f"{name}.weight"], float(arrays[f"{name}.bias"])) for name in names}, record
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"expected probes in {folder}, found none that can be read: {error}") from error
