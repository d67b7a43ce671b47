"""Critics: their formulas by hand, their contract on the shipped tiny models."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest

from alphallm_env import dynamics
from alphallm_env.critics import notes
from alphallm_env.critics.base import checked_scores
from alphallm_env.critics.calibration import (
    CalibratedCritic,
    PlattScaling,
    area_under_roc,
    expected_calibration_error,
    fit_platt,
    quality,
)
from alphallm_env.critics.generative import ProcessRewardModel, share_of_true
from alphallm_env.critics.notes import NoteTaker
from alphallm_env.dynamics import Rules
from alphallm_env.engine import Engine
from alphallm_env.errors import CriticError
from alphallm_env.lm.base import Passage, Reading
from alphallm_env.lm.scripted import ScriptedLM
from alphallm_env.lm.templates import TinyTemplate
from alphallm_env.loading import load_simulator
from alphallm_env.metering import Meter, metering
from alphallm_env.problems import gsm_symbolic
from alphallm_env.types import Option, State, StopReason


def test_the_score_is_the_share_of_true_among_both_labels() -> None:
    assert share_of_true((0.2, 0.6)) == pytest.approx(0.25)
    with pytest.raises(CriticError, match="True or False"):
        share_of_true((0.0, 0.0))


def test_a_score_out_of_range_or_missing_is_an_error_never_a_zero() -> None:
    states = [State("p", "q"), State("p", "r")]
    assert checked_scores([0.0, 1.0], states, "c") == [0.0, 1.0]
    for scores in ([0.5], [0.5, 1.5], [0.5, math.nan]):
        with pytest.raises(CriticError):
            checked_scores(scores, states, "c")


def test_platt_scaling_by_hand() -> None:
    assert PlattScaling(slope=2.0, intercept=0.0)(0.5) == 0.5
    assert PlattScaling(slope=2.0)(0.75) == pytest.approx(0.9)  # odds 3 squared are 9
    assert PlattScaling(slope=1.0, intercept=math.log(3))(0.5) == pytest.approx(0.75)
    assert 0.0 < PlattScaling()(0.0) < PlattScaling()(1.0) < 1.0


def test_fitting_repairs_overconfident_scores() -> None:
    scores = [0.99] * 100 + [0.01] * 100
    outcomes = [1.0] * 80 + [0.0] * 20 + [1.0] * 20 + [0.0] * 80
    scaling = fit_platt(scores, outcomes)
    assert scaling(0.99) == pytest.approx(0.8, abs=1e-3)
    assert scaling(0.01) == pytest.approx(0.2, abs=1e-3)
    with pytest.raises(ValueError, match="both kinds"):
        fit_platt([0.1, 0.2], [1.0, 1.0])


def test_quality_by_hand() -> None:
    scores, outcomes = [0.9, 0.8, 0.3, 0.6], [True, True, True, False]
    measured = quality(scores, outcomes)
    assert measured.precision == pytest.approx(2 / 3)
    assert measured.recall == pytest.approx(2 / 3)
    assert measured.auc == pytest.approx(2 / 3)  # 0.3 lies below the incorrect 0.6
    # four bins of one item each: gaps 0.1, 0.2, 0.7, 0.6, a quarter each
    assert expected_calibration_error(scores, [float(o) for o in outcomes]) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="both kinds"):
        area_under_roc([0.5], [True])


class Fixed:
    name = "fixed"

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        return [0.75 for _ in states]


def test_a_calibrated_critic_scales_every_score() -> None:
    critic = CalibratedCritic(Fixed(), PlattScaling(slope=2.0))
    assert asyncio.run(critic.evaluate([State("p", "q")])) == [pytest.approx(0.9)]


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
