import numpy as np

from alphallm_env.rendering import render_image, render_text
from alphallm_env.rendering.ansi import printable
from alphallm_env.types import Ending, Option, State

START = State("p", "How much is 2 + 3?")


def test_text_numbers_the_options_and_says_how_far_it_is():
    state = START.child(Option("First:\n2 + 3\n", 4), None).child(Option("#### 5\n", 2), Ending.ANSWERED)
    assert render_text(state) == (
        "How much is 2 + 3?\n\n  1 | First:\n    | 2 + 3\n  2 | #### 5\n[answered; options: 2; tokens: 6]"
    )
    assert render_text(START) == "How much is 2 + 3?\n\n[running; options: 0; tokens: 0]"


def test_what_a_model_wrote_cannot_steer_a_terminal():
    assert printable("π ≤ 4\t🙂\n") == "π ≤ 4 🙂\n"
    assert printable("\x1b[2J\r\x07\u202e") == "\\x1b[2J \\x07\\u202e"


def test_a_picture_shows_question_and_solution():
    before = render_image(START)
    after = render_image(START.child(Option("π ≤ 4\n", 3), None))
    assert before.shape == after.shape == (540, 960, 3)
    assert before.dtype == np.uint8
    assert (before < 200).any()
    assert (before != after).any()


def test_a_picture_of_a_long_solution_shows_its_newest_lines():
    state = START
    for number in range(60):
        state = state.child(Option(f"line {number} " + "word " * 40 + "\n", 42), None)
    longer = state.child(Option("the newest line\n", 3), None)
    assert (render_image(state)[:480] != render_image(longer)[:480]).any()


def test_a_picture_takes_words_longer_than_a_row_and_characters_without_a_glyph():
    assert render_image(START.child(Option("a" * 20_000 + "\n漢字\ud800", 1), None)).any()
