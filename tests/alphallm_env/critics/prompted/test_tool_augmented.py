"""The tool-augmented ORM: when it runs programs, what it sees of them, what it costs and what is recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from alphallm_env import CriticError, Policy, Problem, Rules
from alphallm_env.critics.prompted.tool_augmented import END_OF_PROGRAM, ToolAugmentedORM, output_shown
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import ChatTemplate, FewShotTemplate, TinyTemplate
from alphallm_env.lm.prompts.tools import program_in, program_with_output
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp import dynamics
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.sandbox import Limits, ProgramResult, Sandbox, Status
from alphallm_env.testing.scripted import Continuations, ScriptedLM
from alphallm_env.types import Option, ProgramRun, State, StopReason, Trajectory, Transcript

if sys.platform != "linux":
    pytest.skip("programs are run on Linux only", allow_module_level=True)

PROBLEM = Problem("pages", "Ana reads 12 pages and then 24. How many in all?", "36")
PROGRAM = "```python\nprint(12 + 24)\n```\n"
OUTPUT = "```output\n36\n```\n"
WORDS = "The program gives 36, as the solution says."
ADDED = {"": [(PROGRAM, 1.0)], PROGRAM + OUTPUT: [(WORDS, 1.0)]}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(seconds=30.0, cpu_seconds=1.0)) as made:
        yield made


def solved(answer: str = "36") -> State:
    option = Option(f"12 + 24 = {answer}\n#### {answer}\n", 8, None, StopReason.END_OF_TEXT)
    return dynamics.transition(dynamics.initial_state(PROBLEM), option, Rules()).state


def believes(*needed: str) -> Callable[[str, Sequence[str]], Sequence[float]]:
    """Labels that say True, 0.9 of 1.0, where the prompt of the judgement holds all of `needed`; else 0.1."""

    def label(prompt: str, labels: Sequence[str]) -> Sequence[float]:
        return (0.9, 0.1) if all(text in prompt for text in needed) else (0.1, 0.9)

    return label


def critic(
    sandbox: Sandbox,
    script: Mapping[str, Continuations],
    label: Callable[[str, Sequence[str]], Sequence[float]] | None = None,
    **settings: int,
) -> tuple[ToolAugmentedORM, Engine]:
    engine = Engine()
    lm = ScriptedLM(script, label or believes(), marker="Check:\n")
    return ToolAugmentedORM(lm, FewShotTemplate(), engine, sandbox, **settings), engine


def judged(orm: ToolAugmentedORM, engine: Engine, state: State) -> tuple[float, Transcript, Meter]:
    with engine, metering(Meter()) as meter:
        [score] = engine.run(orm.evaluate([state]))
    transcript = meter.with_transcript(Trajectory(state, score)).transcript
    assert transcript is not None
    return score, transcript, meter


def test_it_sees_what_its_program_prints_before_it_judges(sandbox: Sandbox) -> None:
    score, transcript, _ = judged(*critic(sandbox, ADDED, believes(PROGRAM + OUTPUT + WORDS)), solved())
    assert score == pytest.approx(0.9)
    assert transcript == Transcript(
        PROGRAM + OUTPUT + WORDS, (ProgramRun("print(12 + 24)\n", "ok", "36"),), pytest.approx(0.9)
    )


def test_it_decides_itself_whether_to_write_a_program(sandbox: Sandbox) -> None:
    script = {"": [("12 + 24 is 36.", 1.0)]}
    score, transcript, _ = judged(*critic(sandbox, script, believes("12 + 24 is 36.")), solved())
    assert (score, transcript.text, transcript.programs) == (pytest.approx(0.9), "12 + 24 is 36.", ())


@pytest.mark.parametrize(
    ("code", "status", "shown"),
    [
        ("print(1)\n1 / 0\n", "error", "1\n(the program failed)\nZeroDivisionError: division by zero"),
        ("while True: pass\n", "timeout", "(the program took too long and was stopped)"),
        ("x = bytes(10**12)\n", "out_of_memory", "(the program ran out of memory)\nMemoryError"),
        ("open('/etc/passwd')\n", "error", "(the program failed)"),
        ("pass\n", "ok", "(the program printed nothing)"),
    ],
)
def test_a_program_that_fails_is_shown_and_is_no_verdict(sandbox: Sandbox, code: str, status: str, shown: str) -> None:
    script = {"": [(f"```python\n{code}```\n", 1.0)]}
    score, transcript, _ = judged(*critic(sandbox, script, believes(shown)), solved())
    assert score == pytest.approx(0.9)
    [run] = transcript.programs
    assert (run.code, run.status) == (code, status)
    assert run.output.startswith(shown)


def test_what_it_writes_and_reads_is_counted(sandbox: Sandbox) -> None:
    orm, engine = critic(sandbox, ADDED)
    state = solved()
    _, transcript, meter = judged(orm, engine, state)
    count, template = ScriptedLM({}).count_tokens, FewShotTemplate()
    # the words of its program, as it stops there, and of what it says then, with the end of its text
    written = count(PROGRAM) + count(WORDS) + 1
    prompts = [template.check_outcome(state.question, state.text, work) for work in ("", PROGRAM + OUTPUT)]
    prompts.append(template.judge_outcome(state.question, state.text, transcript.text))
    assert meter.usage.critic.generated == written
    assert meter.usage.critic_tokens == meter.usage.tokens == written + sum(map(count, prompts))


def test_it_runs_so_many_programs_and_no_more(sandbox: Sandbox) -> None:
    class Endless(ScriptedLM):
        def _continuations(self, prompt: str, written: str) -> Continuations:
            return () if written else [(PROGRAM, 1.0)]

    engine = Engine()
    orm = ToolAugmentedORM(Endless({}, believes()), FewShotTemplate(), engine, sandbox, max_programs=3)
    _, transcript, _ = judged(orm, engine, solved())
    assert transcript.text == (PROGRAM + OUTPUT) * 3 + PROGRAM
    assert len(transcript.programs) == 3


def test_a_program_that_the_limit_cuts_is_not_run(sandbox: Sandbox) -> None:
    _, transcript, meter = judged(*critic(sandbox, ADDED, max_tokens=3), solved())
    assert transcript.programs == ()
    assert transcript.text == "```python\nprint(12 + "
    assert meter.usage.critic.generated == 3


def test_a_sandbox_that_cannot_run_anything_is_an_error_never_a_score(sandbox: Sandbox) -> None:
    closed = Sandbox()
    closed.close()
    orm, engine = critic(closed, ADDED)
    with engine, pytest.raises(CriticError, match="tool_orm could not run a program: this sandbox is closed"):
        engine.run(orm.evaluate([solved()]))


def test_models_that_cannot_be_asked_for_programs_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(CriticError, match="chat or few-shot template\\), got template 'tiny'"):
        ToolAugmentedORM(ScriptedLM({}), TinyTemplate(), Engine(), sandbox)
    with pytest.raises(CriticError, match="'tiny'"), Engine() as engine:
        build_simulator(load_policy(device="cpu"), "prompted_tools", Rules(), engine)
    with pytest.raises(ValueError, match="max_programs must be >= 1, got 0"):
        critic(sandbox, ADDED, max_programs=0)


def test_by_name_it_is_the_orm_of_a_policy_that_is_prompted() -> None:
    with Engine() as engine:
        policy = Policy(ScriptedLM({}), FewShotTemplate())
        assert build_simulator(policy, "prompted_tools", Rules(), engine).critics.require("orm").name == "tool_orm"
        assert build_simulator(policy, "prompted", Rules(), engine).critics.require("orm").name == "orm"


def test_a_real_model_is_asked_in_a_chat(sandbox: Sandbox) -> None:
    """The tiny policy knows no chat: what it writes is a check, and no label after it is an error."""
    lm = TransformersLM.load(TINY_POLICY, device="cpu")  # of its own, as it is changed
    lm.vocabulary = replace(lm.vocabulary, context=1_024)  # the examples take 675 tokens
    with Engine() as engine:
        orm = ToolAugmentedORM(lm, ChatTemplate(lm.tokenizer), engine, sandbox, max_tokens=12)
        with metering(Meter()) as meter, pytest.raises(CriticError, match="does not answer with them"):
            engine.run(orm.evaluate([solved()]))
    assert 1 <= meter.usage.critic.generated <= 12


@pytest.mark.parametrize("marker", ["python", "py", "Python"])
def test_a_piece_of_a_check_ends_with_its_program(marker: str) -> None:
    text = f"Let us see.\n```{marker}\nprint(1)\n```"
    assert not any(END_OF_PROGRAM.terminates(text[:end]) for end in range(len(text)))
    assert END_OF_PROGRAM.terminates(text)
    assert END_OF_PROGRAM.terminates(text + "\n\n")
    assert not END_OF_PROGRAM.terminates("```output\n1\n```")
    assert program_in(text) == ("Let us see.\n", "print(1)\n")
    assert program_in("```output\n1\n```") is None


def test_no_output_closes_its_block() -> None:
    assert program_with_output("x\n", "```\nTrue\n") == "```python\nx\n```\n```output\n'''\nTrue\n```\n"


def test_of_a_long_output_the_beginning_is_shown() -> None:
    result = ProgramResult(Status.TOO_MUCH_OUTPUT, "x" * 30, "", 1.0, 1.0)
    assert output_shown(result, 10) == (
        "xxxxxxxxxx\n(20 more characters)\n(the program printed too much and was stopped)"
    )
