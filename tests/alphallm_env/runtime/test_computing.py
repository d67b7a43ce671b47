"""Tests of what models compute for one search."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.runtime.computing import Computed, ModelSize, PrefixMemory

SIZE = ModelSize(weights=50, attention=2)


@dataclass(frozen=True)
class Model:
    name: str = "model"
    size: ModelSize | None = SIZE


@dataclass(frozen=True)
class Silent:
    name: str = "silent"


def flops(first: int, num: int) -> int:
    """What each of `num` tokens takes of 50 weights, and of attention to itself and all before it."""
    return sum(2 * 50 + 4 * 2 * (first + place + 1) for place in range(num))


def test_samples_of_one_prompt_read_it_once_and_a_child_goes_on_from_what_was_written():
    memory, model = PrefixMemory(), Model()
    two = memory.compute(model, [("q: ", 10, "a\n", 4), ("q: ", 10, "b\n", 6)])
    assert two == Computed(10 + 4 + 6, flops(0, 14) + flops(10, 6), 0)
    assert memory.compute(model, [("q: a\n", 14, "c\n", 5)]) == Computed(5, flops(14, 5), 0)
    assert memory.compute(model, [("q: b\nd\n", 20, "", 0)]) == Computed(6, flops(14, 6), 0)


def test_models_remember_for_themselves_and_one_of_unknown_size_has_no_operations():
    memory = PrefixMemory()
    memory.compute(Model(), [("text", 4, "", 0)])
    assert memory.compute(Model("other"), [("text", 4, "", 0)]).tokens == 4
    assert memory.compute(Silent(), [("text", 4, "", 0)]) == (4, 0, 4)
    assert memory.compute(Model("none", size=None), [("text", 4, "", 0)]) == (4, 0, 4)
    assert memory.compute(Model(), [("", 0, "", 0)]) == (0, 0, 0)
    assert memory.compute(Model("begins"), [("", 1, "", 0)]).tokens == 1  # of a mark that begins every text


TEXTS = st.lists(st.text("ab\n", min_size=1, max_size=8), max_size=12)


@given(TEXTS, TEXTS)
def test_a_text_costs_what_is_new_in_it_by_lines(texts: list[str], written: list[str]):
    memory, model, seen = PrefixMemory(), Model(), set[str]()
    for text, more in zip(texts, [*written, *texts], strict=False):
        beginnings = [text, *(text[:end] for end in range(len(text)) if text[:end].endswith("\n"))]
        known = max((len(beginning) for beginning in beginnings if beginning in seen), default=0)
        assert memory.compute(model, [(text, len(text), more, 1)]).tokens == len(text) - known + 1
        seen |= {*beginnings, text + more}


@given(TEXTS, TEXTS)
def test_what_is_read_back_costs_the_same(texts: list[str], later: list[str]):
    memory, again, model = PrefixMemory(), PrefixMemory(), Model()
    memory.compute(model, [(text, 3 * len(text), "", 0) for text in texts])
    again.restore(json.loads(json.dumps(memory.to_json())))
    assert again.to_json() == memory.to_json()
    passes = [(text, 3 * len(text), "", 0) for text in later]
    assert again.compute(model, passes) == memory.compute(model, passes)


@pytest.mark.parametrize("num_tokens", [1, 7, 100])
def test_tokens_are_spread_evenly_where_a_part_is_new(num_tokens: int):
    memory = PrefixMemory()
    memory.compute(Model(), [("1234\n", num_tokens, "", 0)])
    assert memory.compute(Model(), [("1234\nabcde", num_tokens, "", 0)]).tokens == num_tokens - num_tokens // 2
