"""Fitting probes: what they see, and what they learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alphallm_env.critics.probes.trunk import ProbeTrunk
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.loading import load_policy
from alphallm_env.training.graded import LabelledStep, ProblemData, Sample, state_after
from alphallm_env.training.probes import PENALTIES, fit_probe, read_prefixes

DATA = ProblemData(
    (Sample("p", "2 + 3?", ("2 + 3 = 5\n", "#### 5"), True), Sample("p", "2 + 3?", ("#### 6",), False)),
    (LabelledStep("2 + 3?", ("2 + 3 = 5\n",), "5 + 1 = 6\n", 0.0),),
)


def test_every_prefix_is_read_once_and_as_it_is_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lm = TransformersLM.load(TINY_POLICY, "cpu", "float32")
    trunk = ProbeTrunk(lm, load_policy(device="cpu").template, (3, 4))
    vectors = read_prefixes(trunk, [DATA, ProblemData((), ())], tmp_path)
    assert {text for _, text in vectors} == {
        "", "2 + 3 = 5\n", "2 + 3 = 5\n#### 5", "#### 6", "2 + 3 = 5\n5 + 1 = 6\n"
    }  # fmt: skip
    [alone] = trunk.read([state_after("2 + 3?", ("2 + 3 = 5\n", "#### 5"))])
    assert vectors["2 + 3?", "2 + 3 = 5\n#### 5"] == pytest.approx(alone.vector, abs=1e-4)
    with monkeypatch.context() as patched:
        patched.setattr(ProbeTrunk, "hidden_states", lambda *_: pytest.fail("read twice"))
        again = read_prefixes(trunk, [DATA], tmp_path)
    assert all(np.array_equal(again[key], vector) for key, vector in vectors.items())
    other = read_prefixes(ProbeTrunk(lm, trunk.template, (3,)), [DATA], tmp_path)
    assert {vector.shape for vector in other.values()} == {(2 * lm.embedding_size + trunk.num_checks,)}


def test_what_can_be_told_apart_is():
    rng = np.random.default_rng(0)
    vectors = rng.normal(3.0, 2.0, (400, 20)).astype(np.float32)
    targets = (vectors[:, 0] + 0.2 * rng.normal(size=400) > 3.0).astype(float)
    fit = fit_probe(vectors, targets.tolist(), [str(n // 8) for n in range(400)])
    assert fit.penalty in PENALTIES
    assert fit.cross_validated[fit.penalty] == max(fit.cross_validated.values()) > 0.95
    assert ((fit.probe(vectors) > 0.5) == (targets > 0.5)).mean() > 0.95
    assert abs(fit.probe.weight[0]) > 3 * np.abs(fit.probe.weight[1:]).max()


def test_a_checked_fact_counts_where_numbers_that_say_nothing_are_many():
    rng = np.random.default_rng(0)
    wrong = rng.integers(0, 2, 120)
    vectors = np.concatenate([rng.normal(size=(120, 600)), wrong[:, None]], axis=1).astype(np.float32)
    targets = np.where(wrong, 0, rng.integers(0, 2, 120)).astype(float).tolist()
    problems = [str(n) for n in range(120)]
    held, light = (fit_probe(vectors, targets, problems, num_checks=num_checks) for num_checks in (0, 1))
    assert light.probe.weight[-1] < 2 * held.probe.weight[-1] < 0
    assert max(light.cross_validated.values()) > max(held.cross_validated.values())


def test_a_problem_is_never_on_both_sides_of_the_cross_validation():
    """Vectors that name their problem, whose samples all end alike: to know the problem is to know nothing."""
    rng = np.random.default_rng(1)
    names = rng.normal(size=(40, 64))
    vectors = np.repeat(names, 8, axis=0).astype(np.float32)
    targets = np.repeat(rng.integers(0, 2, 40), 8).astype(float).tolist()
    problems = [str(n // 8) for n in range(320)]
    fit = fit_probe(vectors, targets, problems)
    assert max(fit.cross_validated.values()) < 0.7
    leaky = fit_probe(vectors, targets, [str(n) for n in range(320)])
    assert max(leaky.cross_validated.values()) > 0.95


def test_targets_must_differ():
    with pytest.raises(ValueError, match="needs targets that differ, got 3 alike"):
        fit_probe(np.zeros((3, 2), np.float32), [1.0, 1.0, 1.0], ["a", "b", "c"])
