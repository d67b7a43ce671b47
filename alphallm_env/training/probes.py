"""Fits linear probes (`alphallm_env/critics/probes`) to a policy's graded trajectories; the model is not trained.

One logistic regression with an L2 penalty per critic: value at every prefix, PRM at labelled steps, ORM at ends. The
penalty is chosen by cross-validation over problems, so that no problem is in both the fit and the test of a fold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save

from alphallm_env.critics.measures import area_under_roc
from alphallm_env.critics.probes.probe import Probe
from alphallm_env.critics.probes.trunk import ProbeTrunk
from alphallm_env.critics.provenance import model_revision
from alphallm_env.runtime.files import write_whole
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.training.graded import ProblemData, state_after
from alphallm_env.types import State

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03)  # of the squared weights beside the mean loss, in nats
NUM_FOLDS = 5
_PROBLEMS_AT_ONCE = 16  # prefilled before the cache of their prefixes is cleared
_ITERATIONS = 100

Vectors = dict[tuple[str, str], NDArray[np.float32]]  # (question, solution so far) -> [2 · layers · width + num_checks]


def read_prefixes(
    trunk: ProbeTrunk, data: Sequence[ProblemData], folder: Path, say: Callable[[str], None] = print
) -> Vectors:
    """Returns the features of every prefix in the data. `say` is told how far the reading is.

    They are cached in `folder`: a file for a few problems, named by a hash of their prefixes and of the model, its
    precision and its layers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vectors: Vectors = {}
    for start in range(0, len(data), _PROBLEMS_AT_ONCE):
        part = data[start : start + _PROBLEMS_AT_ONCE]
        states = _states(part)
        if not states:
            continue
        path = folder / f"{_digest(trunk, states)}.safetensors"
        if path.is_file():
            read = load(path.read_bytes())["vectors"]
        else:
            read = np.stack([seen.vector for seen in trunk.hidden_states(states)])
            trunk.clear_cache()
            write_whole(path, save({"vectors": read}))
            say(f"read {start + len(part)}/{len(data)} problems")
        vectors |= {
            (state.question, state.text): np.concatenate([vector, trunk.checks(state)])
            for state, vector in zip(states, read, strict=True)
        }
    return vectors


def _digest(trunk: ProbeTrunk, states: Sequence[State]) -> str:
    model = (model_revision(trunk.lm) or trunk.lm.name, trunk.lm.precision, trunk.layers)
    prompts = [trunk.prompts(state) for state in states]
    return hashlib.sha256(json.dumps([model, prompts]).encode()).hexdigest()[:32]


def _states(data: Sequence[ProblemData]) -> list[State]:
    """Returns the different states on all samples and up to all labelled steps."""
    ends = [(sample.question, sample.steps) for entry in data for sample in entry.samples]
    ends += [(step.question, (*step.before, step.step)) for entry in data for step in entry.steps]
    paths = (state_after(question, steps).path() for question, steps in ends)
    return list({(state.question, state.text): state for path in paths for state in path}.values())


@dataclass(frozen=True)
class Fit:
    """A fitted probe, the penalty that was chosen, and the AUC of each in the cross-validation."""

    probe: Probe
    penalty: float
    cross_validated: dict[float, float]


def fit_probe(
    vectors: NDArray[np.float32], targets: Sequence[float], problems: Sequence[str], num_checks: int = 0, seed: int = 0
) -> Fit:
    """Returns the probe of `vectors` [n, width] for `targets` in [0, 1], and which problem each row belongs to.

    The last `num_checks` numbers of a vector are checked facts: the penalty of their weights is 100 times smaller.
    Raises ValueError where all targets are alike: there is nothing to tell apart.
    """
    wanted = np.asarray(targets, float)
    if not len(wanted) or wanted.min() == wanted.max():
        raise ValueError(f"a probe needs targets that differ, got {len(wanted)} alike")
    mean, scale = vectors.mean(0), vectors.std(0) + 1e-6
    scale[vectors.shape[1] - num_checks :] /= 10
    inputs = torch.from_numpy((vectors - mean) / scale)
    outputs = torch.from_numpy(wanted).float()
    folds = np.array([derive_seed(seed, problem) % NUM_FOLDS for problem in problems])
    aucs = _cross_validated(inputs, outputs, folds)
    best = max(aucs, key=lambda penalty: aucs[penalty])
    [(weight, bias)] = _ridge(inputs, outputs, [best])
    raw = weight.numpy() / scale
    return Fit(Probe(raw.astype(np.float32), float(bias - raw @ mean)), best, aucs)


def _cross_validated(inputs: torch.Tensor, outputs: torch.Tensor, folds: NDArray[np.int64]) -> dict[float, float]:
    """Returns the AUC by penalty of out-of-fold logits, all folds together."""
    logits = {penalty: np.zeros(len(inputs)) for penalty in PENALTIES}
    for fold in set(folds.tolist()):
        left_out = torch.from_numpy(folds == fold)
        fits = _ridge(inputs[~left_out], outputs[~left_out], PENALTIES)
        for penalty, (weight, bias) in zip(PENALTIES, fits, strict=True):
            logits[penalty][folds == fold] = (inputs[left_out] @ weight + bias).numpy()
    right = (outputs >= 0.5).tolist()
    return {penalty: area_under_roc(found.tolist(), right) for penalty, found in logits.items()}


def _ridge(inputs: torch.Tensor, outputs: torch.Tensor, penalties: Sequence[float]) -> list[tuple[torch.Tensor, float]]:
    """Returns weight and bias with the least mean log loss + penalty · squared weights, by L-BFGS, for each penalty.

    Each fit starts from the one before it.
    """
    weight = torch.zeros(inputs.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    fits: list[tuple[torch.Tensor, float]] = []
    for penalty in penalties:
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

        def loss(penalty: float = penalty, optimizer: torch.optim.Optimizer = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            logits = inputs @ weight + bias
            misfit = torch.nn.functional.binary_cross_entropy_with_logits(logits, outputs)
            total = misfit + penalty * weight.square().sum()
            total.backward()
            return total

        optimizer.step(loss)  # type: ignore[arg-type]
        fits.append((weight.detach().clone(), float(bias.detach())))
    return fits
