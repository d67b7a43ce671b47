"""Probes of a model's hidden states: scores by hand, one reading for all, the folder that they are kept in."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alphallm_env.critics.calibration import PlattScaling, save_calibration
from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.loading import load_critics
from alphallm_env.critics.probes.probe import (
    Probe,
    ProbeCritic,
    TrunkRecord,
    load_probes,
    save_probes,
)
from alphallm_env.critics.probes.trunk import ProbeTrunk
from alphallm_env.critics.provenance import provenance_of
from alphallm_env.errors import CriticError, ModelError
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.loading import load_policy
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.testing import check_critic
from alphallm_env.types import Option, Problem, StopReason

LAYERS = (2, 4)
STATE = dynamics.initial_state(Problem("p", "Ann has 2 pens and buys 3 more. How many pens does Ann have?"))
NEXT = dynamics.transition(STATE, Option("2 + 3 = 5\n", 6), Rules()).state


@pytest.fixture(scope="module")
def trunk() -> ProbeTrunk:
    lm = TransformersLM.load(TINY_POLICY, "cpu", "float32")
    return ProbeTrunk(lm, load_policy(device="cpu").template, LAYERS)


@pytest.fixture(scope="module")
def probes(trunk: ProbeTrunk) -> dict[str, Probe]:
    rng = np.random.default_rng(0)
    assert isinstance(trunk.lm, TransformersLM)
    width = 2 * len(LAYERS) * trunk.lm.embedding_size + trunk.num_checks
    return {name: Probe(rng.normal(0, 0.1, width).astype(np.float32), 0.25) for name in ("value", "prm", "orm")}


def test_a_score_is_the_sigmoid_of_what_the_weights_make_of_the_states(trunk: ProbeTrunk, probes: dict[str, Probe]):
    with Engine() as engine:
        critic = ProbeCritic("value", trunk, probes["value"], engine)
        scores = engine.run(critic.evaluate([STATE, NEXT]))
        assert engine.run(critic.evaluate([])) == []
    for state, score in zip([STATE, NEXT], scores, strict=True):
        [read] = trunk.read([state])
        logit = float(read.vector.astype(float) @ probes["value"].weight.astype(float)) + 0.25
        assert score == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-5)


def test_extreme_logits_stay_in_range():
    vectors = np.array([[-1e4], [0.0], [1e4]], np.float32)
    assert Probe(np.ones(1, np.float32), 0.0)(vectors).tolist() == [0.0, 0.5, 1.0]


def test_what_one_critic_read_the_others_know(trunk: ProbeTrunk, probes: dict[str, Probe]):
    trunk.clear_cache()
    with Engine() as engine, metering(Meter()) as meter:
        read = []
        for name, state in (("value", STATE), ("value", NEXT), ("prm", NEXT), ("orm", NEXT)):
            before = meter.usage.critic.prefilled
            engine.run(ProbeCritic(name, trunk, probes[name], engine).evaluate([state]))
            read.append(meter.usage.critic.prefilled - before)
    assert read[0] > read[1] > 0 == read[2] == read[3]


def test_probes_see_the_end_of_the_solution_and_the_mean_over_ends_of_lines(trunk: ProbeTrunk):
    lines = dynamics.transition(NEXT, Option("5 - 1 = 4\n#### 4", 11, None, StopReason.END_OF_TEXT), Rules()).state
    [one, other, third] = (
        trunk.lm.hidden_states([trunk.template.solve(STATE.question, text)], LAYERS)[0].vector
        for text in ("2 + 3 = 5\n", "2 + 3 = 5\n5 - 1 = 4\n", lines.text)
    )
    for seen in (trunk.hidden_states([lines])[0], trunk.hidden_states([STATE, lines])[1]):
        assert seen.vector == pytest.approx(np.concatenate([third, (one + other + third) / 3]), abs=1e-4)
    trunk.clear_cache()
    [start] = trunk.hidden_states([STATE])
    assert np.array_equal(*np.split(start.vector, 2)), "before the first line both are where the question ends"


def test_probes_see_what_the_calculations_are_worth(trunk: ProbeTrunk):
    wrong = dynamics.transition(NEXT, Option("5 + 4 = 10\n", 6), Rules()).state
    read = trunk.read([STATE, NEXT, wrong])
    assert [seen.vector[-2:].tolist() for seen in read] == [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    hidden = trunk.hidden_states([wrong])[0].vector
    assert np.array_equal(read[2].vector[:-2], hidden)
    blind = ProbeTrunk(trunk.lm, trunk.template, LAYERS, calculations=False)
    assert blind.read([wrong])[0].vector == pytest.approx(hidden, abs=1e-4)


def test_what_is_read_is_counted_once(trunk: ProbeTrunk):
    trunk.clear_cache()
    [first, second] = trunk.read([NEXT, NEXT])
    assert first.num_tokens == second.num_tokens == second.saved_tokens > first.saved_tokens


def test_a_prm_needs_an_option(trunk: ProbeTrunk, probes: dict[str, Probe]):
    with Engine() as engine, pytest.raises(CriticError, match="expected a state after one, got an initial state"):
        engine.run(ProbeCritic("prm", trunk, probes["prm"], engine).evaluate([STATE]))


def test_the_contract_of_critics(trunk: ProbeTrunk, probes: dict[str, Probe]):
    with Engine() as engine:
        check_critic(ProbeCritic("orm", trunk, probes["orm"], engine), [STATE, NEXT], engine)


@pytest.fixture
def folder(trunk: ProbeTrunk, probes: dict[str, Probe], tmp_path: Path) -> Path:
    assert isinstance(trunk.lm, TransformersLM)
    save_probes(tmp_path, probes, TrunkRecord(str(TINY_POLICY), trunk.lm.revision, LAYERS))
    save_calibration(tmp_path, dict.fromkeys(probes, PlattScaling()))
    return tmp_path


def test_a_folder_gives_them_back(folder: Path, trunk: ProbeTrunk, probes: dict[str, Probe]):
    kept, record = load_probes(folder)
    assert (record.layers, record.calculations) == (LAYERS, True)
    assert all(
        np.array_equal(kept[name].weight, probe.weight) and kept[name].bias == 0.25 for name, probe in probes.items()
    )
    with Engine() as engine:
        critics = load_critics(folder, CriticContext(load_policy(device="cpu"), engine, "cpu"))
        assert critics.orm is not None
        told = provenance_of(critics.orm)
        assert (told.critic, told.model) == ("orm", str(TINY_POLICY))
        [score] = engine.run(critics.orm.evaluate([NEXT]))
        assert score == pytest.approx(engine.run(ProbeCritic("orm", trunk, probes["orm"], engine).evaluate([NEXT]))[0])


def test_a_folder_from_before_calculations_were_checked_is_read_as_it_was_fitted(folder: Path):
    fields = json.loads((folder / "probes.json").read_text())
    del fields["calculations"]
    (folder / "probes.json").write_text(json.dumps(fields))
    assert load_probes(folder)[1].calculations is False


def test_other_weights_than_those_they_were_fitted_to_are_refused(folder: Path, probes: dict[str, Probe]):
    _, record = load_probes(folder)
    save_probes(folder, probes, replace(record, revision="sha256:other"))
    with Engine() as engine, pytest.raises(ModelError, match="fitted to, sha256:other, got sha256:"):
        load_critics(folder, CriticContext(load_policy(device="cpu"), engine, "cpu"))


def test_a_probe_that_lacks_is_named(folder: Path, probes: dict[str, Probe]):
    _, record = load_probes(folder)
    save_probes(folder, {"orm": probes["orm"]}, record)
    with Engine() as engine, pytest.raises(ModelError, match=r"found none for \['prm', 'value'\]"):
        load_critics(folder, CriticContext(load_policy(device="cpu"), engine, "cpu"))


@pytest.mark.parametrize("text", ["", "{}", '{"model": "x", "revision": null, "layers": ["a"]}'])
def test_files_that_cannot_be_read_are_told(folder: Path, text: str):
    (folder / "probes.json").write_text(text)
    with pytest.raises(ModelError, match="expected probes in"):
        load_probes(folder)
    (folder / "probes.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="expected probes in"):
        load_probes(folder)
