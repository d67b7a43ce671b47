# ruff: noqa: E501
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.grading.extraction import FormulaPolicy, Kind, closed_at, extract_answer, stated_answer
from alphallm_env.grading.extraction import answer as reading

THINKING = [
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"), ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<seed:think>", "</seed:think>"), ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 40. No wait, 44.", "44"),
        ("The answer is 40, no wait, 44.", "44"),
        ("The answer is 40. Actually, it's 44.", "44"),
        ("The answer is 40. Correction: 44.", "44"),
        ("The answer is 40. Sorry, 44.", "44"),
        ("The answer is 40, or rather 44.", "44"),
        ("The answer is ~~40~~ 44.", "44"),
        ("The answer is not 40 but 44.", "44"),
        ("The answer is 40? No, 44.", "44"),
        (r"\boxed{40}. Wait, I made an error. \boxed{44}", "44"),
        (r"\boxed{40}. No wait, it should be 44.", "44"),
        ("The answer is 40. Hold on, that is incorrect. It should be 44 pens.", "44 pens"),
        ("The answer is 40 \u2014 er, 44.", "44"),
        ("The answer is 40. Just kidding, it's 44.", "44"),
        ("The answer is 40. This contradicts the question, so the answer is 44.", "44"),
        ("Students often say the answer is 40. In fact the answer is 44.", "44"),
        ("If rent were free the answer would be 40. The answer is 44.", "44"),
        ("The answer is 44 rather than 40.", "44"),
        ("The answer is 44 (since 50 - 6 = 44).", "44"),
        ("A common wrong answer is 40. The answer is 44.", "44"),
        ("The answer is 44. (Before I had said the answer is 40.)", "44"),
        (
            "The answer is 40. Wait, that's not right. The answer is 41. No, that's not right either. The answer is 44.",
            "44",
        ),
        ("The correct option is (B).", "(B)"),
        ("So the correct choice is C.", "C"),
        ("Is the answer 40? Yes.", "40"),
        ("Is the answer 40? No. The answer is 44.", "44"),
    ],
)
def test_a_text_answers_what_it_settles_on(text, answer):
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    "after",
    [
        "Wait, that's wrong.", "Let me recheck.", "Scratch that.", "I made a mistake.", "Hmm.", "No, that is not right.",
        "Oops, I forgot to add 4.", "No, the answer is not 40.", "On second thought, let me redo this.",
        "I retract that.", "Disregard my answer.", "[Later: I mis-added.]", "That does not add up.", "However, this contradicts the first line.", "Is it 44?",
    ],
)  # fmt: skip
@pytest.mark.parametrize("statement", ["The answer is 40.", r"\boxed{40}.", "#### 40\n"])
def test_what_is_taken_back_is_no_answer(statement, after):
    found = stated_answer(f"{statement} {after}")
    assert found is not None
    assert found.is_taken_back
    assert found.answer is None
    assert not found.closes


@pytest.mark.parametrize(
    "after",
    [
        "This took 3 steps.", "Wait, let me double check: yes, 40.", "Let me verify: 80/2 = 40.", "I hope it is correct.",
        "Let's check: 40 * 2 = 80, which matches.", "Did I make a mistake? No, 40 is right.", "You can wait 3 days.",
        "Actually, this can be done by algebra.", "It is not 44.", "The answer is not 44.", "No other value works.",
        "Is it 44? No.", "It doesn't make sense for it to be 44.", "Could it be 44? Not really.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("statement", ["The answer is 40.", r"\boxed{40}."])
def test_a_remark_or_a_confirmation_changes_nothing(statement, after):
    assert extract_answer(f"{statement} {after}") == "40"


@pytest.mark.parametrize(
    "text",
    ["If the answer is 40 then we are done.", "Suppose the answer is 40. Then x = 3.", "The answer is not 40.",
     "Is the answer 40?", "The answer would be 40 if x were 3.", "One might think the answer is 40.",
     "It is false that the answer is 40.", "Maybe the answer is 40.", "Let's guess the answer is 40.", "Put the answer in \\boxed{}.", "\\boxed{...}"],
)  # fmt: skip
def test_what_is_supposed_denied_or_asked_is_no_answer(text):
    assert extract_answer(text) is None


@pytest.mark.parametrize(
    "line",
    [
        "1. Count the rows",
        "**Step 1**",
        "(a) Rows",
        "$x$-intercepts",
        "2.1 Setup",
        "Step one: add",
        "3) Add",
        "**2. Sum**",
    ],
)
def test_a_heading_neither_answers_nor_ends_a_solution(line):
    text = f"#### {line}\n"
    assert closed_at(text) is None
    assert extract_answer(text + "2 + 3 = 5\n") is None
    assert extract_answer(f"{text}So \\boxed{{5}}.\n#### {line}\n") == "5"


@pytest.mark.parametrize(
    ("text", "answer"),
    [("\\fbox{27}\n", "27"), ("\\boxed{\n27\n}\n", "27"), ("\\boxed{\n\\frac{1}{\n2}\n}\n", "\\frac{1}{\n2}"),
     ("#### 27 pens\n", "27 pens"), ("#### x = 5\n", "x = 5"), ("<answer>27</answer>\n", "27"), ("$\\boxed 7$\n", "7")],
)  # fmt: skip
def test_a_finished_mark_ends_a_solution(text, answer):
    assert closed_at(text) == len(text)
    assert extract_answer(text) == answer


def test_the_later_statement_counts_whatever_its_kind():
    assert extract_answer("\\boxed{27}\n#### 31") == "31"
    assert extract_answer("#### 31\n\\boxed{27}") == "27"
    assert extract_answer("As \\boxed{E < 3} holds.\n**Answer: D**") == "D"
    assert stated_answer("#### 31\nThe answer is in dollars.").kind is Kind.HASH_LINE  # type: ignore[union-attr]


words = st.text(st.sampled_from("abcxyz +-=,:\n"), max_size=30)
texts = st.text(st.sampled_from("ab 12.\n\\{}$#*<>"), max_size=40)


@given(st.sampled_from(THINKING), words, st.integers(0, 999), st.integers(0, 999))
def test_an_answer_never_comes_from_a_thinking_part(marks, prose, thought, said):
    opening, closing = marks
    inside = f"{prose}\\boxed{{{thought}}}\n#### {thought}\nThe answer is {thought}.\n"
    assert extract_answer(opening + inside) is None
    assert closed_at(opening + inside) is None
    assert extract_answer(f"{opening}{inside}{closing}{prose}") is None
    assert extract_answer(f"{opening}{inside}{closing}\\boxed{{{said}}}") == str(said)
    if "channel" not in opening:
        assert extract_answer(f"{inside}{closing}\n#### {said}") == str(said)  # the prompt opened it


@given(texts, words, st.sampled_from(["boxed", "fbox"]), st.integers(0, 999))
def test_a_box_is_found_wherever_it_stands(before, after, macro, value):
    before = before.replace("~", "")
    found = stated_answer(f"<think>{before}</think>{after}\\{macro}{{{value}}}{after}")
    assert found is not None
    assert found.kind is Kind.BOX
    assert found.answer == str(value)
    assert extract_answer(f"{before.replace('#', '').replace('<', '')} \\{macro}{{{value}}}") is not None


@given(
    st.lists(
        st.sampled_from(["2 + 3", "\n", "#### 1. Add", "#### ", "5", "\\boxed{", "}", " so", "<think>", "</think>"])
    )
)
def test_the_end_is_at_the_same_place_however_the_text_arrives(pieces):
    text = "".join(pieces)
    opened = "</think>" in text  # a thinking part that only its end shows is known then
    ends = [end for size in range(1, len(text) + 1) if (end := closed_at(text[:size])) is not None]
    if ends and not opened:
        assert set(ends) == {closed_at(text)}
        assert text[: ends[0]].endswith("\n")


@pytest.mark.parametrize(
    "text",
    ["\\boxed{" * 50_000, "\\boxed{" * 50_000 + "}" * 50_000, "{" * 100_000 + "}" * 100_000, "<think>" * 50_000,
     "#### 1\n" * 15_000, "<answer>" * 10_000 + "</answer>" * 10_000, "The answer is 18. Wait, no. " * 3_000, "~~" * 50_000, "\\" * 100_000, "\\boxed" * 20_000, "no, " * 30_000],
)  # fmt: skip
def test_hostile_texts_are_read(text):
    stated_answer(text)
    stated_answer(text + "\n\\boxed{3}\n")


def test_formulas_without_a_mark_are_read_by_policy():
    alone, last = "The sum is $2/3$.", "There are three. So the chance is $2/3$."
    assert [extract_answer(text, FormulaPolicy.STRICT) for text in (alone, last)] == ["2/3", None]
    assert [extract_answer(text, FormulaPolicy.LENIENT) for text in (alone, last)] == ["2/3", "2/3"]
    assert extract_answer("It is not $2/3$.", FormulaPolicy.LENIENT) is None


PIECES = ["an", "swer", "ANSWER", "an\u017fwer", " is ", "solu", "tion", "#", "####", " 4\n", "\\bo", "xed", "{4}", "<", ">",
          "$x$", "\\(", "4\\)", "final ", "the ", ". "]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_a_text_is_left_unread_only_where_it_states_nothing(text):
    if not reading._may_state(text):
        assert all(reading._last(text, policy) is None for policy in FormulaPolicy)
        assert reading._closed_at(text) is None


LINES = ["#### 4", "#### -1,250.5", "####  7,", "#### 3 pens", "#### 1. Count", "#### 5\\n#### 6", "\\boxed{4}", "9 + 4 = 13", "~~#### 4~~",
         "<think>", "</think>", "so 3 or", "wait", " #### 4", "#### 4 ", "x#### 4", "The answer is 4.", "No.", "\\s", ""]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=5).map("\n".join), st.sampled_from(["", "\n", "\n\n ", " "]))
def test_a_plain_ending_is_read_as_by_all_the_rules(lines, after):
    text = lines + after
    plain = reading._plain(text)
    if plain is not None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "_plain", lambda _: None)
            assert plain == reading._read(text, FormulaPolicy.STRICT) == reading._read(text, FormulaPolicy.LENIENT)


def test_a_solution_of_lines_has_a_plain_ending():
    assert reading._plain("3 x 2 = 6 portions.\n#### 1,206\n") == stated_answer("3 x 2 = 6 portions.\n#### 1,206\n")
