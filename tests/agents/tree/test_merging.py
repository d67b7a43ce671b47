from collections import Counter

import pytest
from scripted_world import START, add_child, step

from agents.tree.merging import CosineSimilarity, EditDistance, MergeRule, SameMathematics, cosine, find_twin, n_grams
from agents.tree.node import Node
from alphallm_env.testing import check_merge_rule


def test_edit_distance_counts_changed_characters_of_a_hundred():
    # "So " before, and a full stop behind: 4 of 14 characters are new, which is 28.6 of 100.
    assert EditDistance(29)("5 * 9 = 45", "So 5 * 9 = 45.")
    assert not EditDistance(28)("5 * 9 = 45", "So 5 * 9 = 45.")
    # The same 4 in a text five times as long are few.
    text = "Every day of the week, but Sunday, each hen lays 5 * 9 = 45"
    assert EditDistance(7)(text, f"So {text}.")


@pytest.mark.parametrize("limit", [-1, 101])
def test_a_limit_is_of_a_hundred_characters(limit: int):
    with pytest.raises(ValueError, match=f"limit must be in .*got {limit}"):
        EditDistance(limit)


RULES = [EditDistance(20), EditDistance(50), EditDistance(100), CosineSimilarity(0.0), SameMathematics()]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("18 - 7 = 11", "18 * 7 = 126"),
        ("The answer is 31", "The answer is 37"),
        ("Kim sells 4 more", "Kim sells 4 less"),
        ("Each of the 12 boxes holds 3 * 4 = 12 pens", "Each of the 15 boxes holds 3 * 4 = 12 pens"),
    ],
)
def test_no_rule_joins_different_mathematics(rule: MergeRule, first: str, second: str):
    assert not rule(first, second)
    assert rule(first, first)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rules_keep_the_contract(rule: MergeRule):
    check_merge_rule(rule)


def test_n_grams_ignore_case_and_white_space():
    assert n_grams("AB  ab", 2) == Counter({"ab": 2, "b ": 1, " a": 1})
    assert n_grams("a", 3) == Counter({"a": 1})


def test_cosine_by_hand():
    # (2, 1) · (1, 0) = 2; |(2, 1)| = √5: 2 / √5 = 0.894427.
    assert cosine(Counter(a=2, b=1), Counter(a=1)) == pytest.approx(0.894427)
    assert cosine(Counter(a=1), Counter(b=1)) == 0.0


def test_cosine_similarity_has_a_threshold():
    assert CosineSimilarity(0.7)("She has 3 + 2 = 5 red eggs.", "She has 3 + 2 = 5 eggs.")
    assert not CosineSimilarity(0.99)("She has 3 + 2 = 5 red eggs.", "She has 3 + 2 = 5 eggs.")
    assert not CosineSimilarity(0.7)("She has 3 eggs.", "So 12 * 5 = 60")


SAME = SameMathematics()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("There are 3 * 4 = 12 eggs.\n", "4 x 3 = 12\n"),
        ("She pays $3 * 4 = $12.\n", "That is 3 × 4 = <<3*4=12>>12 dollars\n"),
        ("which is 76 pages x 1/2 = 38 pages.\n", r"So \frac{1}{2} * 76 = 38" + "\n"),
        ("There are 6 girls x 4 boys/girl = 24 boys", "6 * 4 = 24"),
        ("3 + 4 + 5 = 12 tacos", "A day has 5 + 3 + 4 = 12"),
        ("1,200 / 3 = 400", "1200 ÷ 3 = 400.0"),
        ("So there are none left.", "so there are NONE left"),
    ],
)
def test_same_mathematics(first: str, second: str):
    assert SAME(first, second)
    assert SAME(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("3 * 4 = 12", "3 + 4 = 7"),
        ("3 * 4 = 12", "3 * 4 = 13"),
        ("3 * 4 = 12", "3 * 4 = 12 and 12 + 1 = 13"),
        ("There are 12 eggs", "There are 13 eggs"),
        ("10 - 4 = 6", "There are 6"),
    ],
)
def test_different_mathematics(first: str, second: str):
    assert not SAME(first, second)


def test_find_twin_returns_the_first_sibling_that_means_the_same():
    root = Node(START)
    add_child(root, "3 + 4 = 7\n")
    twin = add_child(root, "3 * 4 = 12\n")
    assert find_twin(step(START, "4 * 3 = 12\n"), root.children, SAME) is twin
    assert find_twin(step(START, "4 * 4 = 16\n"), root.children, SAME) is None
    assert find_twin(step(START, "3 * 4 = 12\n"), root.children, None) is None


def test_ended_texts_are_the_same_only_if_their_answers_are():
    root = Node(START)
    twelve = add_child(root, "#### 12\n")
    near, equal = step(START, "#### 13\n"), step(START, "So, the answer it is:\n#### 12.0\n")
    assert find_twin(near, root.children, EditDistance(50)) is None
    assert find_twin(equal, root.children, EditDistance(0)) is twelve


def test_a_running_text_never_joins_an_ended_one():
    root = Node(START)
    add_child(root, "#### 12\n")
    assert find_twin(step(START, "### 12\n"), root.children, EditDistance(50)) is None
