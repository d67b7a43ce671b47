"""Probes: value function, PRM and ORM that are linear in the hidden states of a frozen language model.

Hidden states predict whether a solution is right: Kadavath et al. 2022 (P(IK)), Zhang et al. 2025 ("Reasoning models
know when they're right").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from alphallm_env.critics.base import CompositeCritic, last_option
from alphallm_env.critics.probes.trunk import ProbeTrunk
from alphallm_env.critics.provenance import Provenance, model_provenance
from alphallm_env.errors import ModelError
from alphallm_env.runtime.counting import count_scored
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role
from alphallm_env.types import State

WEIGHTS_FILE = "probes.safetensors"
TRUNK_FILE = "probes.json"


@dataclass(frozen=True, eq=False)
class Probe:
    """σ(weight · x + bias), where x is a trunk's reading of a state, [2 · layers · width + num_checks]."""

    weight: NDArray[np.float32]
    bias: float

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Returns scores in [0, 1], [texts], of vectors [texts, 2 · layers · width + num_checks]."""
        logits = vectors.astype(np.float64) @ self.weight.astype(np.float64) + self.bias
        return 0.5 * (1.0 + np.tanh(0.5 * logits))


class ProbeCritic(CompositeCritic):
    """A probe as a critic, named value, prm or orm: it scores the state, its last option, or the whole solution."""

    def __init__(self, name: str, trunk: ProbeTrunk, probe: Probe, engine: Engine) -> None:
        super().__init__(trunk)
        self.name = name
        self._trunk = trunk
        self._probe = probe
        self._engine = engine

    @property
    def provenance(self) -> Provenance:
        """The model, and the wording of the prompts that it reads."""
        return model_provenance(self.name, self._trunk.lm, self._trunk.template)

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the probe's score in [0, 1] of each state. A PRM raises CriticError at an initial state."""
        if not states:
            return []
        if self.name == "prm":
            for state in states:
                last_option(state)
        found = await self._engine.submit(self._trunk.read, states, role=Role.CRITIC)
        count_scored(self._trunk.lm, list(map(self._trunk.prompt, states)), found)
        return self._probe(np.stack([embedding.vector for embedding in found])).tolist()


@dataclass(frozen=True)
class TrunkRecord:
    """The model that probes were fitted to, the layers that they read, and whether they read `ProbeTrunk.checks`."""

    model: str  # the name of a shipped policy, a folder or a hub name
    revision: str | None
    layers: tuple[int, ...]
    calculations: bool = True


def save_probes(folder: Path, probes: Mapping[str, Probe], record: TrunkRecord) -> None:
    """Writes the probes' weights and the record of their model. The model itself is not copied."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{name}.weight": probe.weight for name, probe in probes.items()}
    arrays |= {f"{name}.bias": np.array(probe.bias, np.float32) for name, probe in probes.items()}
    save_file(arrays, folder / WEIGHTS_FILE)
    (folder / TRUNK_FILE).write_text(json.dumps(asdict(record), indent=2) + "\n")


def load_probes(folder: Path) -> tuple[dict[str, Probe], TrunkRecord]:
    """Returns the probes in a folder by name. Raises ModelError where the files are missing or malformed."""
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
