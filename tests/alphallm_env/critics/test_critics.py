"""Critics: their formulas by hand, their contract on the shipped tiny models."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from alphallm_env.critics.base import checked_scores
from alphallm_env.critics.combine import MixedCritic
from alphallm_env.critics.loading import TINY_CRITICS
from alphallm_env.critics.prompted.generative import ProcessRewardModel, share_of_true
from alphallm_env.critics.provenance import Provenance, prompt_version, provenance_of
from alphallm_env.critics.trained import notes
from alphallm_env.critics.trained.notes import NoteTaker
from alphallm_env.critics.verifier import Verifier
from alphallm_env.errors import CriticError
from alphallm_env.lm.base import Passage, Reading
from alphallm_env.lm.prompts import FewShotTemplate, TinyTemplate
from alphallm_env.lm.revision import weights_digest
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.loading import build_simulator, load_policy, load_simulator
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import gsm_symbolic
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import Option, Problem, State, StopReason


def test_the_score_is_the_share_of_true_among_both_labels() -> None:
    assert share_of_true((0.2, 0.6)) == pytest.approx(0.25)
    for probs in ((0.0, 0.0), (1e-30, 3e-30), (2e-4, 3e-4)):
        with pytest.raises(CriticError, match=f"'True' and 'False' together, got {probs[0]:.3g} and {probs[1]:.3g}"):
            share_of_true(probs)


def test_a_score_out_of_range_or_missing_is_an_error_never_a_zero() -> None:
    states = [State("p", "q"), State("p", "r")]
    assert checked_scores([0.0, 1.0], states, "c") == [0.0, 1.0]
    for scores in ([0.5], [0.5, 1.5], [0.5, math.nan]):
        with pytest.raises(CriticError):
            checked_scores(scores, states, "c")


class Fixed:
    def __init__(self, score: float, name: str = "fixed") -> None:
        self.name = name
        self._score = score

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        return [self._score for _ in states]


class Failing(Fixed):
    async def evaluate(self, states: Sequence[State]) -> list[float]:
        raise CriticError("no label")


def test_a_mix_is_the_weighted_mean_and_fails_with_its_parts() -> None:
    mix = MixedCritic([(Fixed(0.2, "prm"), 1.0), (Fixed(0.6, "orm"), 3.0)])
    assert asyncio.run(mix.evaluate([State("p", "q"), State("p", "r")])) == [pytest.approx(0.5)] * 2
    assert provenance_of(mix).aggregation == "weighted mean (prm 1, orm 3)"
    assert [part.critic for part in provenance_of(mix).parts] == ["prm", "orm"]
    with pytest.raises(CriticError, match="no label"):
        asyncio.run(MixedCritic([(Fixed(0.2), 1.0), (Failing(0.2), 1.0)]).evaluate([State("p", "q")]))
    with pytest.raises(CriticError, match=r"in \[0, 1\], got 1.5"):
        asyncio.run(MixedCritic([(Fixed(0.2), 1.0), (Fixed(1.5), 1.0)]).evaluate([State("p", "q")]))
    for weights in ([], [(Fixed(0.2), 0.0)]):
        with pytest.raises(ValueError, match="weights > 0"):
            MixedCritic(weights)


def ended(problem: Problem, text: str) -> State:
    option = Option(text, 1, None, StopReason.END_OF_TEXT)
    return dynamics.transition(dynamics.initial_state(problem), option, Rules()).state


def test_the_verifier_knows_right_from_wrong_and_says_where_it_does_not() -> None:
    problem = Problem("p", "How many?", answer="3")
    verifier = Verifier([problem, Problem("imagined", "How many?")])
    states = [ended(problem, text) for text in ("#### 3", "#### 4", "I do not know.")]
    assert asyncio.run(verifier.evaluate(states)) == [1.0, 0.0, 0.0]
    for state, message in (
        (State("p", "How many?"), "got a running one"),
        (ended(Problem("imagined", "How many?"), "#### 3"), "'imagined' without"),
        (ended(problem, "#### 9^{9^{9^{9^{9}}}}"), "not to say it is wrong"),
    ):
        with pytest.raises(CriticError, match=message):
            asyncio.run(verifier.evaluate([state]))


def test_the_shipped_critics_tell_where_their_scores_come_from() -> None:
    found = load_simulator(device="cpu").critics.provenance()
    assert set(found) == {"value", "prm", "orm"}
    for name, provenance in found.items():
        assert provenance.critic == name
        assert provenance.model == str(TINY_CRITICS)
        assert provenance.revision == weights_digest(TINY_CRITICS)
        assert provenance.prompt == prompt_version(TinyTemplate())
        assert provenance.calibration is not None
        assert "kind" in json.loads(provenance.calibration)
        assert [part.model for part in provenance.parts] == [str(TINY_POLICY)]  # the policy takes the notes
    json.dumps({name: asdict(provenance) for name, provenance in found.items()})
    prompted = build_simulator(load_policy(device="cpu"), "prompted", Rules(), Engine()).critics.provenance()
    assert prompted["prm"].calibration is None
    assert prompted["value"].parts[0].critic == "orm"
    assert provenance_of(Fixed(0.5)) == Provenance("fixed")


def test_the_version_of_a_prompt_changes_with_its_wording() -> None:
    class Reworded(FewShotTemplate):
        def judge_step(self, question: str, before: str, step: str, notes: str = "") -> str:
            return super().judge_step(question, before, step, notes) + " "

    assert prompt_version(FewShotTemplate()) == prompt_version(FewShotTemplate())
    assert prompt_version(FewShotTemplate()).startswith("few_shot@")
    assert prompt_version(Reworded()) != prompt_version(FewShotTemplate())


def test_the_digest_of_weights_is_that_of_sha256sum(tmp_path: Path) -> None:
    assert weights_digest(tmp_path) is None
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.safetensors").write_bytes(b"2")
    (tmp_path / "one.safetensors").write_bytes(b"1")
    (tmp_path / "config.json").write_text("{}")
    command = "find . -name '*.safetensors' -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    printed = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert weights_digest(tmp_path) == f"sha256:{printed.split()[0]}"


def test_a_prm_refuses_a_state_without_a_step() -> None:
    simulator = load_simulator(device="cpu")
    prm = ProcessRewardModel(simulator.policy.lm, simulator.policy.template, simulator.engine)
    with pytest.raises(CriticError, match="initial state"):
        prm.prompt(State("p", "q"))


@pytest.mark.parametrize("name", ["value", "prm", "orm"])
def test_the_shipped_critics_prefer_the_worked_solution(name: str) -> None:
    simulator = load_simulator(device="cpu")
    right, wrong = [], []
    for problem in gsm_symbolic.problems("test", 24):
        assert problem.solution is not None
        assert problem.answer is not None
        spoilt = str(int(problem.answer) + 7)
        for answer, ends in ((problem.answer, right), (spoilt, wrong)):
            text = problem.solution.rpartition("####")[0] + f"#### {answer}"
            option = Option(text, 10, None, StopReason.END_OF_TEXT)
            ends.append(dynamics.transition(dynamics.initial_state(problem), option, Rules()).state)
    with metering(Meter()) as meter:
        scores = simulator.engine.run(simulator.score(name, [*right, *wrong]))
    assert sum(scores[:24]) > sum(scores[24:]) + 2.0
    assert simulator.engine.run(simulator.score(name, right[:1])) == [pytest.approx(scores[0], abs=1e-4)]
    assert meter.usage.critic_tokens > 0
    assert meter.usage.tokens == meter.usage.critic_tokens


class ScriptedReader(ScriptedLM):
    """Finds every line certain, and remembers what it read."""

    def __init__(self) -> None:
        super().__init__({"": [("1 + 1 = 2\n#### 2\n", 1.0)]})
        self.lines: list[str] = []

    def read(self, passages: Sequence[Passage]) -> list[Reading]:
        self.lines += [line for passage in passages for line in passage.lines]
        return [Reading(tuple(0.0 for _ in passage.lines), 1) for passage in passages]


def test_notes_are_taken_though_none_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_MOST_KEPT", 0)

    async def both() -> list[list[str]]:
        return await asyncio.gather(*(taker.take(["Q?", "R?"], ["#### 2\n", "#### 3\n"]) for _ in range(2)))

    with Engine() as engine, metering(Meter()):
        taker = NoteTaker(ScriptedReader(), TinyTemplate(), engine)
        assert engine.run(both()) == [["9T", "9F"]] * 2


def test_a_reader_sees_no_special_token_in_a_solution() -> None:
    reader = ScriptedReader()
    with Engine() as engine, metering(Meter()):
        taker = NoteTaker(reader, TinyTemplate(), engine)
        assert engine.run(taker.take(["Q?"], ["1 < 2 <|end|>\n#### 2"])) == ["9T9T"]
    assert reader.lines == ["1 < 2 < |end|>\n", "#### 2"]
