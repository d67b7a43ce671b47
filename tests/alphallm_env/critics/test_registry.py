"""Critics by name: what a module may hold, replacing one critic of a set, and what wrong names say."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import ModuleType

import pytest

from alphallm_env.critics.base import Critics
from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.monte_carlo import MonteCarloValue
from alphallm_env.critics.public.formats import FORMATS
from alphallm_env.critics.registry import CRITICS, make_critics
from alphallm_env.errors import CriticError, ModelError
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.loading import load_policy
from alphallm_env.runtime.engine import Engine
from alphallm_env.simulator import Simulator
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import State


class Fixed:
    """Gives every state one score."""

    def __init__(self, name: str = "orm", score: float = 0.5) -> None:
        self.name = name
        self.score = score

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        return [self.score for _ in states]


class MyORM(Fixed):
    def __init__(self) -> None:
        super().__init__("anything", 0.25)


class OfContext(Fixed):
    def __init__(self, context: CriticContext) -> None:
        super().__init__("prm")
        self.context = context


def engine_takers(context: CriticContext) -> Critics:
    return Critics(prm=OfContext(context))


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A user's module, called `mine`."""
    mine = ModuleType("mine")
    mine.Fixed, mine.MyORM, mine.OfContext, mine.of_context = Fixed, MyORM, OfContext, engine_takers  # type: ignore[attr-defined]
    mine.instance = Fixed("prm")  # type: ignore[attr-defined]
    mine.whole = Critics(orm=mine.instance)  # type: ignore[attr-defined]
    mine.pair = lambda: [Fixed("prm"), Fixed("orm")]  # type: ignore[attr-defined]
    mine.twice = lambda: [Fixed("orm"), Fixed("orm")]  # type: ignore[attr-defined]
    mine.number = lambda: 7  # type: ignore[attr-defined]
    mine.two = lambda a, b: (a, b)  # type: ignore[attr-defined]
    mine.constant = 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", mine)
    return mine


@pytest.fixture
def context() -> Iterator[CriticContext]:
    policy = load_policy(device="cpu")  # it takes the notes of the shipped critics
    with Engine() as engine:
        yield CriticContext(policy, engine, "cpu", Simulator(policy, engine=engine))


def names(critics: Critics) -> list[str]:
    return sorted(critics.by_name())


def test_the_names_that_ship(context: CriticContext):
    assert list(CRITICS) == ["tiny", "prompted", "prompted_tools", "verifier", "learned", "none"]
    assert all(f"{adapter}:…" in CRITICS.choices for adapter in FORMATS)
    assert names(make_critics("none", context)) == []
    assert names(make_critics("tiny", context)) == ["orm", "prm", "value"]
    assert names(make_critics("prompted", context)) == ["orm", "prm", "value"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mine:instance", ["prm"]),
        ("mine:OfContext", ["prm"]),
        ("mine:of_context", ["prm"]),
        ("mine:Fixed", ["orm", "value"]),
        ("mine:whole", ["orm", "value"]),
        ("mine:pair", ["orm", "prm", "value"]),
    ],
)
def test_a_module_holds_a_critic_a_class_a_set_or_what_makes_them(
    spec: str, expected: list[str], context: CriticContext
):
    assert names(make_critics(spec, context)) == expected


def test_a_class_or_function_with_one_parameter_gets_the_context(context: CriticContext):
    for spec in ("mine:OfContext", "mine:of_context"):
        prm = make_critics(spec, context).prm
        assert isinstance(prm, OfContext)
        assert prm.context is context


def test_one_critic_of_a_set_is_replaced_whatever_its_name(context: CriticContext):
    tiny = make_critics("tiny", context)
    critics = make_critics("tiny,orm=mine:MyORM", context)
    assert isinstance(critics.orm, MyORM)
    assert type(critics.prm) is type(tiny.prm)
    both = make_critics("tiny, orm=mine:MyORM,value=none", context)
    assert (names(both), type(both.orm)) == (["orm", "prm"], MyORM)
    assert names(make_critics("none,prm=mine:instance,orm=tiny", context)) == ["orm", "prm"]


def test_without_a_value_function_rollouts_are_judged_by_the_orm_in_use(context: CriticContext):
    value = make_critics("prompted,orm=mine:MyORM", context).value
    assert isinstance(value, MonteCarloValue)
    assert value.provenance.parts[0].critic == "anything"
    assert make_critics("prompted,value=none", context).value is None
    assert make_critics("prompted", CriticContext(context.policy, context.engine)).value is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "tinny",
            "critics must be one of tiny, prompted, prompted_tools, verifier, learned, none, math_shep.*folder.*"
            "got 'tinny'",
        ),
        ("", "critics must be one of tiny.*got ''"),  # not the current directory as a folder of critics
        ("mine:missing", "critics must be one of tiny.*got 'mine:missing'"),
        ("nowhere:at_all", "critics must be one of tiny.*got 'nowhere:at_all'"),
        ("mine:constant", "what makes critics, got 7"),
        ("mine:two", "take a CriticContext or nothing, got a, b"),
        ("mine:number", "got 7"),
        ("mine:MyORM", "critics named value, prm, orm.*got anything.*tiny,orm=mine:MyORM"),
        ("mine:twice", "each at most once, got orm, orm"),
        ("tiny,reward=mine:MyORM", "value=…, prm=…, orm=…, each once"),
        ("tiny,orm=mine:MyORM,orm=none", "each once"),
    ],
)
def test_what_is_no_critic_is_told_with_the_names_to_choose_from(spec: str, message: str, context: CriticContext):
    with pytest.raises(ValueError, match=message):
        make_critics(spec, context)


def test_a_set_that_lacks_the_critic_it_should_replace_is_told(context: CriticContext):
    with pytest.raises(CriticError, match="'value' is needed"):
        make_critics("tiny,value=mine:pair", context)


def test_a_name_of_your_own_is_registered(monkeypatch: pytest.MonkeyPatch, context: CriticContext):
    monkeypatch.setattr(CRITICS, "_parts", dict(CRITICS._parts))
    CRITICS.register("halves", "mine:pair")
    assert names(make_critics("halves", context)) == ["orm", "prm", "value"]
    CRITICS.register("mine", lambda _: Fixed("prm"))
    assert names(make_critics("mine", context)) == ["prm"]


def test_a_policy_that_cannot_read_takes_no_notes(context: CriticContext) -> None:
    blind = replace(context, policy=Policy(ScriptedLM({}), TinyTemplate()))
    with pytest.raises(
        ModelError, match="judge by notes that the policy takes; expected a policy with a method `read`"
    ):
        make_critics("tiny", blind)
