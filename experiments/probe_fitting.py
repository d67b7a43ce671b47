"""Fits probes (`alphallm_env/critics/probes.py`) to a policy's graded trajectories; no layer of the model learns.

A ridge logistic regression for each critic: value at every prefix, PRM at labelled steps, ORM at ends. How strongly
the weights are held back is chosen by cross-validation over problems, so that no problem is on both sides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save

from alphallm_env.critics.measures import area_under_roc
from alphallm_env.critics.probes import Probe, ProbeTrunk
from alphallm_env.critics.provenance import model_revision
from alphallm_env.lm.base import forget
from alphallm_env.randomness import derive_seed
from alphallm_env.types import State
from experiments.critic_data import ProblemData, state_after
from experiments.records import write_whole

PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)  # of the squared weights beside the mean loss, in nats
NUM_FOLDS = 5
_PROBLEMS_AT_ONCE = 16  # read one after the other: what is known of a problem's prefixes may then be forgotten
_ITERATIONS = 200

Vectors = dict[tuple[str, str], NDArray[np.float32]]  # (question, solution so far) -> [layers · width]


def read_prefixes(trunk: ProbeTrunk, data: Sequence[ProblemData], folder: Path) -> Vectors:
    """Returns what the trunk makes of every prefix in the data, read option by option: each token once, and a few.

    The prefixes of a few problems make a file in `folder`, named by a hash of them and of the model, its precision and
    its layers: what was read before is not read again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vectors: Vectors = {}
    for start in range(0, len(data), _PROBLEMS_AT_ONCE):
        part = data[start : start + _PROBLEMS_AT_ONCE]
        prompts = {trunk.prompt(state): (state.question, state.text) for states in _by_depth(part) for state in states}
        if not prompts:
            continue
        path = folder / f"{_digest(trunk, list(prompts))}.safetensors"
        if not path.is_file():
            write_whole(path, save({"vectors": _read(trunk, part)}))
            print(f"read {start + len(part)}/{len(data)} problems", flush=True)
        vectors |= dict(zip(prompts.values(), load(path.read_bytes())["vectors"], strict=True))
    return vectors


def _read(trunk: ProbeTrunk, data: Sequence[ProblemData]) -> NDArray[np.float32]:
    """Returns what the trunk makes of every prefix, [prefixes, layers · width], and has it forget them."""
    read = [e.vector for states in _by_depth(data) for e in trunk.read(list(map(trunk.prompt, states)))]
    forget(trunk.lm)
    return np.stack(read)


def _digest(trunk: ProbeTrunk, prompts: Sequence[str]) -> str:
    model = (model_revision(trunk.lm) or trunk.lm.name, trunk.lm.precision, trunk.layers)
    return hashlib.sha256(json.dumps([model, prompts]).encode()).hexdigest()[:32]


def _by_depth(data: Sequence[ProblemData]) -> Iterator[list[State]]:
    """Yields the different states on all samples and up to all labelled steps, the shallow ones first."""
    states: dict[tuple[str, str], State] = {}
    for entry in data:
        ends = [(sample.question, sample.steps) for sample in entry.samples]
        ends += [(step.question, (*step.before, step.step)) for step in entry.steps]
        for question, steps in ends:
            states |= {(state.question, state.text): state for state in state_after(question, steps).path()}
    for depth in range(1 + max((state.depth for state in states.values()), default=-1)):
        yield [state for state in states.values() if state.depth == depth]


@dataclass(frozen=True)
class Fit:
    """A fitted probe, the penalty that was chosen, and the AUC of each in the cross-validation."""

    probe: Probe
    penalty: float
    cross_validated: dict[float, float]


def fit_probe(vectors: NDArray[np.float32], targets: Sequence[float], problems: Sequence[str], seed: int = 0) -> Fit:
    """Returns the probe of `vectors` [n, width] for `targets` in [0, 1], and which problem each row belongs to.

    Raises ValueError where all targets are alike: there is nothing to tell apart.
    """
    wanted = np.asarray(targets, float)
    if not len(wanted) or wanted.min() == wanted.max():
        raise ValueError(f"a probe needs targets that differ, got {len(wanted)} alike")
    mean, scale = vectors.mean(0), vectors.std(0) + 1e-6
    inputs = torch.from_numpy((vectors - mean) / scale).double()
    outputs = torch.from_numpy(wanted)
    folds = np.array([derive_seed(seed, problem) % NUM_FOLDS for problem in problems])
    aucs = {penalty: _cross_validated(inputs, outputs, folds, penalty) for penalty in PENALTIES}
    best = max(aucs, key=lambda penalty: aucs[penalty])
    weight, bias = _ridge(inputs, outputs, best)
    raw = weight.numpy() / scale
    return Fit(Probe(raw.astype(np.float32), float(bias - raw @ mean)), best, aucs)


def _cross_validated(inputs: torch.Tensor, outputs: torch.Tensor, folds: NDArray[np.int64], penalty: float) -> float:
    """Returns the AUC of logits that the fit of the other folds gives, all folds together."""
    logits = np.zeros(len(inputs))
    for fold in set(folds.tolist()):
        left_out = torch.from_numpy(folds == fold)
        weight, bias = _ridge(inputs[~left_out], outputs[~left_out], penalty)
        logits[folds == fold] = (inputs[left_out] @ weight + bias).numpy()
    return area_under_roc(logits.tolist(), (outputs >= 0.5).tolist())


def _ridge(inputs: torch.Tensor, outputs: torch.Tensor, penalty: float) -> tuple[torch.Tensor, float]:
    """Returns weight and bias with the least mean log loss + penalty · squared weights, by L-BFGS."""
    weight = torch.zeros(inputs.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros((), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = inputs @ weight + bias
        total = torch.nn.functional.binary_cross_entropy_with_logits(logits, outputs) + penalty * weight.square().sum()
        total.backward()
        return total

    optimizer.step(loss)  # type: ignore[arg-type]
    return weight.detach(), float(bias.detach())
