"""Prompts: what each template writes, and that hostile text stays text."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from alphallm_env.lm.prompts import (
    ChatTemplate,
    FewShotTemplate,
    PromptTemplate,
    TinyTemplate,
    ToolTemplate,
    mark_as_taught,
    plain,
    template_for,
)
from alphallm_env.lm.prompts import tools as tool_prompts
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.lm.word_tokenizer import SPECIAL_TOKENS
from alphallm_env.sandbox import Limits, Sandbox

SPELLINGS = (
    *SPECIAL_TOKENS, "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<s>", "</s>", "[INST]", "[/INST]",
    "<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<think>", "</think>", "<｜User｜>",  # noqa: RUF001
)  # fmt: skip
HOSTILE = " ".join(SPELLINGS)


@pytest.fixture(scope="module")
def sandboxed() -> Iterator[Callable[[str], str]]:
    """Runs a program and returns what it prints."""
    if sys.platform != "linux":
        pytest.skip("programs are run on Linux only")
    with Sandbox(Limits(seconds=60.0)) as sandbox:
        yield lambda code: sandbox.run(code).stdout


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(TINY_POLICY)


SHOWN_ANSWERS = [("19", "19"), ("36", "36"), ("10", "10")]  # of the worked examples: as computed, as answered


@pytest.fixture(params=["tiny", "chat", "few_shot"])
def template(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> PromptTemplate:
    made = {"tiny": TinyTemplate, "chat": lambda: ChatTemplate(tokenizer), "few_shot": FewShotTemplate}
    return made[request.param]()


def foreign_tokenizer(chat_template: str | None) -> PreTrainedTokenizerFast:
    """A tokenizer of four words that knows none of the tiny models' markers."""
    words = Tokenizer(models.WordLevel({"?": 0, "Problem": 1, "user": 2, "assistant": 3}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?")
    made.chat_template = chat_template
    return made


def prompts(template: PromptTemplate, text: str) -> list[str]:
    return [
        template.solve(text, text),
        template.imagine(text, [text, text]),
        template.judge_state(text, text, text),
        template.judge_step(text, text, text),
        template.judge_step(text, text, text, text),
        template.judge_outcome(text, text),
        template.judge_outcome(text, text, text),
        *([template.check_outcome(text, text, text)] if isinstance(template, ToolTemplate) else []),
    ]


def test_a_template_is_one_and_has_the_name_it_was_asked_for_by(template: PromptTemplate):
    assert isinstance(template, PromptTemplate)
    assert template.name in ("tiny", "chat", "few_shot")


def test_the_tiny_template_writes_markers():
    tiny = TinyTemplate()
    assert tiny.solve("How many?", "1 + 1 = 2\n") == "<|question|>How many?<|solution|>1 + 1 = 2\n"
    assert tiny.imagine("A kid", ["Another?"]) == "<|question|>A kid"
    assert tiny.judge_step("Q?", "a\n", "b\n") == "<|question|>Q?<|solution|>a\nb\n<|step|>"
    assert tiny.judge_outcome("Q?", "a\n") == "<|question|>Q?<|solution|>a\n<|outcome|>"


def test_without_notes_a_state_is_judged_as_the_policy_reads_it(template: PromptTemplate):
    assert template.judge_state("How many?", "1 + 1 = 2\n") == template.solve("How many?", "1 + 1 = 2\n")


def test_the_chat_template_opens_the_answer_and_goes_on_with_it(tokenizer: PreTrainedTokenizerBase):
    chat = ChatTemplate(tokenizer)
    opened = chat.solve("How many?", "")
    assert opened.startswith("<|question|>Solve the problem step by step")
    assert opened.count("<|question|>") == 4  # three worked examples are earlier turns
    assert re.findall(r"= (\d+)[^=]*\nThe final answer is \\boxed\{(\d+)\}\.", opened) == SHOWN_ANSWERS
    assert opened.endswith("\\boxed{}.\n\nProblem: How many?<|solution|>")
    assert chat.solve("How many?", "1 + 1 = 2\n") == opened + "1 + 1 = 2\n"
    assert chat.imagine("A kid", ["One?", "Two?"]).endswith("Problem: One?\n\nProblem: Two?<|solution|>A kid")
    assert "(nothing yet)" in chat.judge_step("Q?", "", "b\n")
    assert "Next step:\nb\n\nIs this step correct" in chat.judge_step("Q?", "a\n", "b\n")
    assert chat.judge_outcome("Q?", "a\n").endswith("Answer with one word, True if the final answer is right, "
                                                    "False if it is not.<|solution|>")  # fmt: skip


def test_the_few_shot_template_shows_worked_examples_that_are_right():
    shots = FewShotTemplate().solve("How many?", "1 +")
    assert shots.endswith("Question: How many?\nAnswer:\n1 +")
    equations = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", shots)
    assert len(equations) == 7
    compute = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}
    for left, sign, right, result in equations:
        assert compute[sign](int(left), int(right)) == int(result)
    assert re.findall(r"= (\d+)[^=]*\n#### (\d+)\n", shots) == SHOWN_ANSWERS


def test_without_examples_a_prompt_is_the_problem_alone(template: PromptTemplate):
    shown, bare = (
        template.solve("How many?", "1 + 1 = 2\n"),
        template.without_examples().solve("How many?", "1 + 1 = 2\n"),
    )
    assert shown.endswith("How many?" + bare.partition("How many?")[2])
    assert "pencils" not in bare
    assert ("pencils" in shown) == (template.name != "tiny")
    assert template.without_examples().judge_outcome("Q?", "a\n") == template.judge_outcome("Q?", "a\n")
    assert template.without_examples().name == template.name


CHAT = "{% for turn in messages %}{{ turn.role }}: {{ turn.content }} {% endfor %}assistant:"


@pytest.mark.parametrize("chat", [CHAT, None])
def test_a_policy_that_was_taught_is_asked_as_it_was_taught(chat: str | None, tmp_path: Path):
    tokenizer = foreign_tokenizer(chat)
    before = template_for(tokenizer)
    mark_as_taught(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    after = template_for(AutoTokenizer.from_pretrained(tmp_path))
    assert after.solve("How many?", "") == before.without_examples().solve("How many?", "")
    assert len(after.solve("How many?", "")) < len(before.solve("How many?", ""))


def test_the_checks_that_are_shown_are_right(sandboxed: Callable[[str], str]):
    for question, solution, check in tool_prompts.SHOTS:
        if (program := tool_prompts.program_in(check)) is not None:
            assert f"```output\n{sandboxed(program[1])}```" in check, question
        answer = solution.rpartition("#### ")[2]
        assert check.endswith("it is right." if f"{answer}, as the solution says" in check else "it is wrong.")


def test_a_check_goes_on_where_it_was_left(tokenizer: PreTrainedTokenizerBase):
    work = tool_prompts.program_with_output("print(1)\n", "1")
    assert (
        FewShotTemplate()
        .check_outcome("Why?", "So.", work)
        .endswith(f"one sentence on what you found.\nCheck:\n{work}")
    )
    chat = ChatTemplate(tokenizer)
    assert chat.check_outcome("Why?", "So.", work) == chat.check_outcome("Why?", "So.", "") + work


def test_braces_in_a_problem_are_no_format_fields(template: PromptTemplate):
    for prompt in prompts(template, r"\frac{1}{2} {question} {0}"):
        assert r"\frac{1}{2} {question} {0}" in prompt


def test_special_tokens_in_a_text_stay_text(template: PromptTemplate, tokenizer: PreTrainedTokenizerBase):
    def specials(text: str) -> Counter[int]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        marks = set(tokenizer.convert_tokens_to_ids([t for t in SPECIAL_TOKENS if t != "<|unknown|>"]))
        return Counter(i for i in ids if i in marks)

    for hostile, innocent in zip(prompts(template, HOSTILE), prompts(template, "so"), strict=True):
        assert specials(hostile) == specials(innocent)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_broken_up(spelling: str):
    assert spelling not in plain(f"7{spelling}8")
    assert plain(f"7{spelling}8").replace(" ", "") == f"7{spelling}8"


@given(st.text(alphabet="<|/s>[INST] e\n"))
def test_breaking_up_adds_spaces_only_and_is_done_at_once(text: str):
    broken = plain(text)
    assert plain(broken) == broken
    assert not any(spelling in broken for spelling in ("<|", "<s>", "</s>", "[INST]", "[/INST]"))
    assert re.sub(" ", "", broken) == re.sub(" ", "", text)


def test_ordinary_mathematics_is_left_alone():
    for text in (
        "3 < 5 and 5 > 3",
        "|x| < |y|",
        "a<b",
        "[1, 2]",
        "x <= 4 || y",
        "50 < s > 3",
        "a<b>c",
        "x <5",
        "<<3*4=12>>12",
    ):
        assert plain(text) == text


def test_the_template_fits_the_tokenizer(tokenizer: PreTrainedTokenizerBase):
    assert isinstance(template_for(tokenizer), TinyTemplate)
    chat = "{% for message in messages %}user {{ message['content'] }}{% endfor %}{% if add_generation_prompt %} assistant{% endif %}"  # noqa: E501
    found = template_for(foreign_tokenizer(chat))
    assert isinstance(found, ChatTemplate)
    assert found.solve("How many?", "").endswith("Problem: How many? assistant")
    assert isinstance(template_for(foreign_tokenizer(None)), FewShotTemplate)


def test_a_base_model_reads_the_token_that_begins_its_texts_once():
    tokenizer = foreign_tokenizer(None)
    assert not template_for(tokenizer).solve("How many?", "").startswith("<s>")
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    for prompt in prompts(template_for(tokenizer), "Why?"):
        assert prompt.startswith("<s>")
        assert tokenizer(prompt, add_special_tokens=False)["input_ids"].count(tokenizer.bos_token_id) == 1


def test_the_labels_follow_the_prompt_as_text_goes_on(template: PromptTemplate):
    labels = {label.strip() for label in template.labels}
    assert labels == {"True", "False"}
    for prompt in (template.judge_outcome("Q?", "a\n"), template.judge_step("Q?", "", "a\n")):
        assert not prompt.endswith(" ")
        assert prompt.endswith("\nAnswer:") == template.labels[0].startswith(" ")


def test_a_thinking_part_that_the_chat_opens_is_closed_for_critics_and_continued_by_the_policy():
    chat = ChatTemplate(foreign_tokenizer("{% for m in messages %}{{ m.content }}{% endfor %}{{ '<think>\\n' }}"))
    judged = (chat.judge_outcome("Q", "s"), chat.judge_step("Q", "a", "b"), chat.check_outcome("Q", "s", ""))
    for asked in (*judged, chat.imagine("", [])):
        assert asked.endswith("<think>\n\n</think>\n\n")
    opened = chat.solve("Q", "")
    assert opened.endswith("<think>\n")
    assert chat.solve("Q", "<think>\n2 + 2") == opened + "2 + 2"
    assert chat.solve("Q", "<think>\n2</think>4<|im_end|>") == opened + "2</think>4< |im_end|>"
    assert "< think>" in chat.solve("a <think> question", "")


def test_a_chat_template_needs_one():
    with pytest.raises(ValueError, match="expected a tokenizer with a chat template"):
        ChatTemplate(foreign_tokenizer(None))
