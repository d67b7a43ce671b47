"""TRL's `GRPOTrainer(environment_factory=…)`: a model acts by calling tools, and the environment rewards it.

    trainer = GRPOTrainer(
        model,
        args=GRPOConfig(…),
        train_dataset=Dataset.from_list(training_rows(env.unwrapped.problem_ids)),
        environment_factory=tool_environments(lambda: gym.make("AlphaLLM/GSMSymbolic-v0", reward="verifier")),
    )

TRL calls this interface experimental; it is that of TRL 1.16.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict, cast

import gymnasium as gym

from alphallm_env.errors import StateError
from alphallm_env.grading.extraction import closed_at
from alphallm_env.lm.word_tokenizer import CHAT_TEMPLATE, END, PAD, SOLUTION
from alphallm_env.types import Option, StopReason

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

INSTRUCTION = (
    "Solve the problem. Call choose_option with one short step at a time, each a line, "
    "and in the end submit_answer with the final answer alone.\n\nProblem: "
)
_FINISHED = "finished"
_CLOSED = Option("", num_tokens=0, stop_reason=StopReason.END_OF_TEXT)


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


class TrainingRow(TypedDict):
    """One prompt of a data set. `reset` appends the question of the problem to its last message."""

    prompt: list[Message]
    problem_id: str


def training_rows(problem_ids: Sequence[str], instruction: str = INSTRUCTION) -> list[TrainingRow]:
    """Returns the rows of a training set, one per problem. They hold no answer: `get_reward` uses it."""
    return [TrainingRow(prompt=[Message(role="user", content=instruction)], problem_id=id) for id in problem_ids]


def tool_environments(make: Callable[[], gym.Env[str, str]]) -> Callable[[], ToolEnvironment]:
    """Returns a factory for `environment_factory`. `make` makes a text environment, wrapped or not, per rollout."""
    return lambda: ToolEnvironment(make())


class ToolEnvironment:
    """Runs one episode at a time by tool calls. Every public method but `reset` and `get_reward` is a tool.

    A tool that is misused (after the end, with something that is no text) raises, and TRL shows the error to the model.
    TRL hides other failures from the user in the same way, so they are stored, and `get_reward` raises them.
    """

    def __init__(self, env: gym.Env[str, str]) -> None:
        self._env = env
        self._return = 0.0
        self._discount = 1.0
        self._is_over = True
        self._failure: Exception | None = None

    def reset(self, problem_id: str | None = None, **_: object) -> str:
        """Starts the problem of a row and returns its question.

        Raises ValueError where the row names none: the rollouts of a group must solve the same problem.
        """
        if problem_id is None:
            raise ValueError("each row must have a problem_id, as training_rows makes them, got none")
        question, info = self._env.reset(options={"problem_id": problem_id})
        self._return, self._discount = 0.0, float(info["discount"])
        self._is_over, self._failure = False, None
        return question

    def choose_option(self, text: str, is_last: bool = False) -> str:
        """Appends one step to the solution.

        Args:
            text: The step, usually one line; a newline is added where it ends without one. A line `#### x` states
                the answer x.
            is_last: Whether nothing comes after it: a solution that has stated no answer then is a dead end.

        Returns:
            Whether the solution is finished.
        """
        if isinstance(text, str) and not text.endswith("\n"):  # pyright: ignore[reportUnnecessaryIsInstance]
            text += "\n"
        reply = self._step(text)
        return self._step(_CLOSED) if is_last and not self._is_over else reply

    def submit_answer(self, answer: str) -> str:
        """States the final answer, which finishes the solution.

        Args:
            answer: The final answer alone, such as 42 or x^2 + 1.

        Returns:
            Whether the solution is finished.
        """
        if not isinstance(answer, str) or not answer.strip() or "\n" in answer.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"answer must be one line of text, got {str(answer)[:60]!r}")
        answer = answer.strip()
        line = f"#### {answer}\n"
        return self.choose_option(line if closed_at(line) else f"\\boxed{{{answer}}}\n")

    def _step(self, option: str | Option) -> str:
        if self._is_over:
            raise StateError("the solution is finished: no step can be added")
        try:
            _, reward, terminated, truncated, info = self._env.step(cast(str, option))
        except ValueError:
            raise
        except Exception as failure:
            self._failure = failure
            raise
        self._return += self._discount * float(reward)
        self._discount *= float(info["discount"])
        self._is_over = terminated or truncated
        return f"{_FINISHED}: {info['ending'].replace('_', ' ')}" if self._is_over else "go on"

    def get_reward(self) -> float:
        """Returns the discounted return of the episode up to here. Raises RuntimeError where a step has failed."""
        if self._failure is not None:
            raise RuntimeError(f"a step of the environment failed: {self._failure}") from self._failure
        return self._return


# The tiny policy was trained without tools: TRL parses each line, the last one too, as a call of choose_option.
# The tool's reply is not written into the conversation, so that the policy sees the prompts that it was trained on; the
# reply that the solution is finished is longer than any context, which makes TRL end the completion there.
_TOO_LONG = f"{{{{ '{PAD}' * 4096 }}}}"
_TOOL_CHAT_TEMPLATE = CHAT_TEMPLATE.replace(
    "{% else %}",
    "{% elif message['tool_calls'] %}{% for call in message['tool_calls'] %}"
    "{% if call['function']['name'] == 'choose_option' %}{{ call['function']['arguments'].get('text', '') }}"
    "{% else %}{{ call['function']['name'] }}({{ call['function']['arguments'] }}){% endif %}{% endfor %}"
    "{% elif message['role'] == 'tool' %}"
    "{% if message['name'] != 'choose_option' %}{{ message['content'] }}"
    f"{{% elif message['content'].startswith('{_FINISHED}') %}}{_TOO_LONG}{{% endif %}}"
    "{% else %}",
    1,
)
_LINE = rf"(?!{re.escape(END)})[^\n]+"
_RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor_pattern": rf"{re.escape(SOLUTION)}|\n",
    "fields": {
        "tool_calls": {
            # Names may occur twice in patterns of the `regex` package. `is_last` is empty, and so false, or the mark.
            "open_pattern": rf"(?P<line>{_LINE}\n)(?P<is_last>)|(?P<line>{_LINE}?)(?P<is_last>{re.escape(END)})",
            "close_pattern": r"(?=.)|$",
            "repeats": True,
            "transform": {
                "type": "function",
                "function": {"name": "choose_option", "arguments": {"text": "{line}", "is_last": "{is_last}"}},
            },
        },
        "content": {"close": END},
    },
}


def write_lines_as_calls(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Prepares the tiny policy for TRL: each line that it writes is parsed as a call of `choose_option`.

    Changes templates and ending tokens of these two objects; `training_rows(ids, instruction="")` fits it. Raises
    ValueError if the tokenizer is not the tiny policy's.
    """
    newline = tokenizer.encode("\n", add_special_tokens=False)
    if tokenizer.eos_token != END or len(newline) != 1:
        raise ValueError(f"expected the tiny policy's tokenizer, which ends with {END!r}, got {tokenizer.eos_token!r}")
    tokenizer.chat_template = _TOOL_CHAT_TEMPLATE
    tokenizer.response_template = _RESPONSE_TEMPLATE
    generation = model.generation_config
    assert generation is not None
    generation.eos_token_id = [*newline, tokenizer.convert_tokens_to_ids(END)]
