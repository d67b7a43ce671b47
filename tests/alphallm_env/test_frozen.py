"""Tests of the quicker `__init__` of frozen dataclasses: it takes, refuses and freezes what the usual one does."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from alphallm_env.frozen import quick_init
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.types import Option, State, Trajectory


def made(decorate: Callable[[Any], Any]) -> Any:
    @decorate
    @dataclasses.dataclass(frozen=True, slots=True)
    class Point:
        first: int
        second: str = "b"
        third: object = dataclasses.field(default=None, repr=False)
        hidden: object = dataclasses.field(default=None, init=False)

        def __post_init__(self) -> None:
            if self.first < 0:
                raise ValueError(f"first must be >= 0, got {self.first}")

    return Point


Usual, Quick = made(lambda cls: cls), made(quick_init)


@pytest.mark.parametrize("arguments", [(1,), (1, "c"), (1, "c", [])])
def test_the_same_object(arguments):
    usual, quick = Usual(*arguments), Quick(*arguments)
    assert dataclasses.asdict(usual) == dataclasses.asdict(quick)
    assert quick == Quick(*arguments)
    assert dataclasses.replace(quick, first=7) == Quick(7, *arguments[1:])


@pytest.mark.parametrize("arguments", [(), (1, "b", None, None), (-1,)])
def test_the_same_refusals(arguments):
    with pytest.raises((TypeError, ValueError)) as usual:
        Usual(*arguments)
    with pytest.raises(type(usual.value)):
        Quick(*arguments)


def test_arguments_by_name():
    assert Quick(second="x", first=3) == Quick(3, "x")
    with pytest.raises(TypeError):
        Quick(3, hidden=1)


@pytest.mark.parametrize("made", [Option("a", 1), GenerationRequest("a", 0, 1), State("a", "b")])
def test_nothing_can_be_set(made):
    for field in dataclasses.fields(made):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, None)


@pytest.mark.parametrize("cls", [Option, State, Trajectory, Completion, GenerationRequest])
def test_types_are_as_they_are_declared(cls):
    wanted = [field.name for field in dataclasses.fields(cls) if field.init]
    assert list(inspect.signature(cls).parameters) == wanted


def test_an_option_is_copied_through_pickle():
    assert pickle.loads(pickle.dumps(Option("a", 1))) == Option("a", 1)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(TypeError, match="a slot for the field x of NoSlots"):
        quick_init(dataclasses.make_dataclass("NoSlots", [("x", int)], frozen=True))
    listed = dataclasses.make_dataclass(
        "Listed", [("x", list, dataclasses.field(default_factory=list))], frozen=True, slots=True
    )
    with pytest.raises(TypeError, match="plain default or none, got x of Listed"):
        quick_init(listed)
