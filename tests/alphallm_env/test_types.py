import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.errors import StateError
from alphallm_env.types import Ending, Option, State, StopReason, Transition

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates included
OPTIONS = st.builds(
    Option,
    text=ANY_TEXT,
    num_tokens=st.integers(0, 1000),
    log_prob=st.none() | st.floats(-1e6, 0.0),
    stop_reason=st.sampled_from(StopReason),
)


@st.composite
def states(draw: st.DrawFn) -> State:
    state = State(draw(ANY_TEXT), draw(ANY_TEXT))
    for option in draw(st.lists(OPTIONS, max_size=5)):
        state = state.child(option, None)
    if draw(st.booleans()):
        state = state.child(draw(OPTIONS), draw(st.sampled_from(Ending)))
    return state


def chain(length: int) -> State:
    state = State("p", "How much?")
    for number in range(length):
        state = state.child(Option(f"step {number}\n", 2), None)
    return state


def test_only_an_ending_by_itself_terminates():
    terminating = {ending for ending in Ending if ending.terminates}
    assert terminating == {Ending.ANSWERED, Ending.DEAD_END, Ending.INVALID_ACTION}
    assert all(ending.terminates != ending.truncates for ending in Ending)


def test_a_transition_into_a_running_state_neither_terminates_nor_truncates():
    running = Transition(chain(1), discount=1.0)
    assert (running.terminated, running.truncated) == (False, False)
    cut = Transition(chain(1).child(Option("x", 1), Ending.OUT_OF_OPTIONS), discount=1.0)
    assert (cut.terminated, cut.truncated) == (False, True)


def test_a_state_counts_options_and_tokens():
    state = State("p", "Q").child(Option("a\n", 2), None).child(Option("b", 3), Ending.DEAD_END)
    assert (state.depth, state.num_tokens, state.text) == (2, 5, "a\nb")
    assert [option.text for option in state.options] == ["a\n", "b"]
    assert state.root == State("p", "Q")
    assert len(list(state.path())) == 3


def test_options_cannot_have_a_negative_number_of_tokens():
    with pytest.raises(ValueError, match="got -1"):
        Option("x", -1)


@given(states())
def test_bytes_and_pickle_round_trip(state):
    for copied in (State.from_bytes(state.to_bytes()), pickle.loads(pickle.dumps(state))):
        assert copied == state
        assert hash(copied) == hash(state)
        assert copied.options == state.options
        assert (copied.problem_id, copied.question) == (state.problem_id, state.question)
        assert (copied.depth, copied.num_tokens, copied.ending) == (
            state.depth,
            state.num_tokens,
            state.ending,
        )


@given(states(), OPTIONS, OPTIONS)
def test_children_are_equal_exactly_if_their_options_are(state, one, other):
    parent = replace_ending(state)
    assert (parent.child(one, None) == parent.child(other, None)) == (one == other)
    assert parent.child(one, None) != parent
    assert parent.child(one, None) != parent.child(one, Ending.ANSWERED)


def replace_ending(state: State) -> State:
    return state if state.ending is None else state.root


def test_no_two_splits_of_id_and_question_are_one_state():
    assert State("a", "b\0c") != State("a\0b", "c")


def test_surrogates_that_stand_side_by_side_stay_two_characters():
    state = State("p", "\ud83d\ude00")
    assert State.from_bytes(state.to_bytes()).question == state.question
    assert state != State("p", "😀")


def test_a_changed_copy_is_another_state():
    state = chain(2)
    assert replace(state, question="How many?", parent=None, option=None) != state
    assert replace(state, ending=Ending.DEAD_END) != state


def test_equal_states_hash_equal_in_every_process():
    state = chain(3).child(Option("#### 5\n", 2, -0.25), Ending.ANSWERED)
    program = (
        "import sys; from alphallm_env.types import State;"
        "state = State.from_bytes(sys.stdin.buffer.read()); print(hash(state), state.digest.hex())"
    )
    for hash_seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", program],
            input=state.to_bytes(),
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert found.stdout.decode().split() == [str(hash(state)), state.digest.hex()]


def test_a_state_is_its_own_copy():
    state = chain(3)
    assert copy.copy(state) is state
    assert copy.deepcopy({"state": state})["state"] is state


def test_nothing_recurses_along_2000_options():
    state = chain(2_000)
    assert State.from_bytes(state.to_bytes()) == state
    assert pickle.loads(pickle.dumps(state)) == state
    assert copy.deepcopy(state) is state
    assert state.text.endswith("step 1999\n")
    assert "step 1999" in repr(state)
    assert state.root.depth == 0
    del state


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"problem_id":"p"}',
        b'{"problem_id":"p","question":"q","steps":[["x",1]]}',
        b'{"problem_id":"p","question":"q","steps":[["x",-1,null,"rule",null]]}',
        b'{"problem_id":"p","question":"q","steps":[["x",1,"much","rule",null]]}',
        b'{"problem_id":"p","question":"q","steps":[["x",1e400,null,"rule",null]]}',
        b'{"problem_id":"p","question":"q","steps":[["x",1,null,"because",null]]}',
    ],
)
def test_damaged_bytes_are_named(damaged):
    with pytest.raises(StateError, match="expected the bytes of a State"):
        State.from_bytes(damaged)
