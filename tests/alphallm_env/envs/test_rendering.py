import numpy as np

from alphallm_env.envs.proposals import Proposals
from alphallm_env.envs.rendering import render_image, render_text
from alphallm_env.envs.rendering.ansi import printable
from alphallm_env.types import Ending, Option, State, StopReason

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


STEP = START.child(Option("First:\n2 + 3\n", 4), None)
OFFERS = Proposals(
    options=(Option("#### 5", 4, -0.25, StopReason.END_OF_TEXT), Option("2 + 3\n= 5\n", 5)),
    prm=(0.5, 0.75),
    value=(0.25, 1.0),
    ends=(True, False),
    embedding=np.zeros(0, dtype=np.float32),
)


def test_text_shows_rewards_and_what_is_on_offer():
    assert render_text(STEP, [0.5], OFFERS) == (
        "How much is 2 + 3?\n\n"
        "  1   0.50 | First:\n"
        "           | 2 + 3\n"
        "[running; options: 1; tokens: 4; return: 0.50]\n\n"
        "  on offer    prm  value  log p  tokens\n"
        "  [0] ends   0.50   0.25  -0.25       4 | #### 5\n"
        "  [1]        0.75   1.00              5 | 2 + 3\n"
        "                                        | = 5"
    )


def test_a_reward_that_is_not_known_is_left_out():
    two = STEP.child(Option("#### 5\n", 2), Ending.ANSWERED)
    assert render_text(two, [None, 1.0]).splitlines()[2:] == [
        "  1        | First:",
        "           | 2 + 3",
        "  2   1.00 | #### 5",
        "[answered; options: 2; tokens: 6; return: 1.00]",
    ]


def test_a_picture_shows_rewards_and_what_is_on_offer():
    plain, rewarded = render_image(STEP), render_image(STEP, [1.0])
    assert (plain != rewarded).any()
    bar = rewarded[:, 12:17]
    greenest = bar.reshape(-1, 3)[(bar.reshape(-1, 3)[:, 1].astype(int) - bar.reshape(-1, 3)[:, 0]).argmax()]
    assert greenest.tolist() == [64, 150, 80]
    offered = render_image(STEP, [1.0], OFFERS)
    assert (offered[400:] != rewarded[400:]).any()
    assert (offered[:200] == rewarded[:200]).all()


def test_a_picture_of_many_long_offers_keeps_its_size():
    long = Option("word " * 100 + "\n", 102, -3.0)
    many = Proposals((long,) * 30, (0.1,) * 30, (0.2,) * 30, (False,) * 30, np.zeros(0, dtype=np.float32))
    state = START
    for number in range(60):
        state = state.child(Option(f"line {number}\n", 2), None)
    assert render_image(state, [0.5] * 60, many).shape == (540, 960, 3)
