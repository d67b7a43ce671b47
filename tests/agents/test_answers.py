import pytest

from agents.answers import answer_key


@pytest.mark.parametrize(
    ("first", "second"),
    [("#### 1,200", "#### $1200.00"), ("#### 1/2", "#### 0.5"), ("#### 18 apples", "\\boxed{18}")],
)
def test_equal_answers_have_equal_keys(first: str, second: str):
    assert answer_key(first) == answer_key(second) is not None


@pytest.mark.parametrize(("first", "second"), [("#### 12", "#### 13"), ("#### x + 1", "#### x - 1")])
def test_different_answers_have_different_keys(first: str, second: str):
    assert answer_key(first) != answer_key(second)


def test_a_text_without_an_answer_has_no_key():
    assert answer_key("2 * 3 = 6\n") is None
