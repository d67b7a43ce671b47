"""The tool-augmented ORM: may write Python, sees its output, and then judges. PAPER §3.

A check is text that the critic generates, greedily, after problem and solution. The critic decides whether to write
a program. A program runs in the sandbox, its output is appended, and generation resumes. Then the critic is prompted
for True or False like any ORM, with the check as its notes on the solution.

Differs: AlphaLLM specifies neither the prompt for programs nor their number. Here: worked examples, and at most two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alphallm_env.critics.base import CompositeCritic
from alphallm_env.critics.prompted.generative import Labeller
from alphallm_env.critics.provenance import Provenance, model_provenance
from alphallm_env.errors import CriticError, SandboxError
from alphallm_env.lm.base import Completion, GenerationRequest, LanguageModel, generation
from alphallm_env.lm.prompts import PromptTemplate, ToolTemplate
from alphallm_env.lm.prompts.tools import program_in, program_with_output
from alphallm_env.mdp.options import RegexRule
from alphallm_env.runtime.concurrency import gather
from alphallm_env.runtime.counting import count_generated
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role, current_meter
from alphallm_env.sandbox import ProgramResult, Sandbox, Status
from alphallm_env.types import ProgramRun, State, StopReason, Transcript

# A check is generated in pieces: each ends after the block of a program, the last with the check.
END_OF_PROGRAM = RegexRule(r"(?si:```(?:python|py)[ \t]*\n(?:(?!```).)*```\s*)", trigger="`", name="end_of_program")
_FAILURES = {
    Status.ERROR: "(the program failed)",
    Status.TIMEOUT: "(the program took too long and was stopped)",
    Status.OUT_OF_MEMORY: "(the program ran out of memory)",
    Status.TOO_MUCH_OUTPUT: "(the program printed too much and was stopped)",
}


@dataclass(frozen=True)
class _Check:
    """The text of one solution's check so far, and the programs run in it."""

    text: str = ""
    programs: tuple[ProgramRun, ...] = ()


class ToolAugmentedORM(CompositeCritic):
    """ORM: how likely the whole solution of a state is correct, judged after a check that may run programs.

    A program that fails is shown to the critic as a failure, and is no verdict. `max_tokens` limits the generated text
    of a check; `max_output` limits the characters of an output that the critic sees. The caller closes the
    sandbox. Scores are reproducible except for programs that time out.
    """

    name = "tool_orm"

    def __init__(
        self,
        lm: LanguageModel,
        template: PromptTemplate,
        engine: Engine,
        sandbox: Sandbox,
        *,
        max_tokens: int = 400,
        max_programs: int = 2,
        max_output: int = 1_000,
    ) -> None:
        if not isinstance(template, ToolTemplate):
            raise CriticError(
                "a tool-augmented ORM needs a model that can be asked for programs (a chat or few-shot template), "
                f"got template {template.name!r}"
            )
        for name, value in (("max_tokens", max_tokens), ("max_programs", max_programs), ("max_output", max_output)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        super().__init__(lm)
        self._lm = lm
        self._labeller = Labeller(lm, template.labels)
        self._template = template
        self._engine = engine
        self._sandbox = sandbox
        self._max_tokens = max_tokens
        self._max_programs = max_programs
        self._max_output = max_output

    @property
    def provenance(self) -> Provenance:
        """The model, and the wording of its prompts, that of checks included."""
        return model_provenance(self.name, self._lm, self._template)

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns p(True) / (p(True) + p(False)) in [0, 1] of each state, in order, after its check.

        Raises CriticError where no program can be run. The search's meter records the transcripts.
        """
        checks = await gather(map(self._check, states))
        prompts = [
            self._template.judge_outcome(state.question, state.text, check.text)
            for state, check in zip(states, checks, strict=True)
        ]
        scores = await self._labeller.share_true(self._engine, prompts)
        for state, check, score in zip(states, checks, scores, strict=True):
            current_meter().keep(state, Transcript(check.text, check.programs, score))
        return scores

    async def _check(self, state: State) -> _Check:
        """Returns the check of one solution."""
        check, tokens_left = _Check(), self._max_tokens
        while tokens_left > 0:
            piece = await self._write(state, check.text, tokens_left)
            tokens_left -= piece.num_tokens
            program = None if piece.stop_reason is StopReason.LENGTH else program_in(piece.text)
            if program is None or len(check.programs) == self._max_programs:
                return _Check(check.text + piece.text, check.programs)
            before, code = program
            run = await self._run(code)
            text = check.text + before + program_with_output(run.code, run.output)
            check = _Check(text, (*check.programs, run))
        return check

    async def _write(self, state: State, work: str, max_tokens: int) -> Completion:
        """Returns the next piece of a check, which ends with the check or after a program. Counts its tokens."""
        prompt = self._template.check_outcome(state.question, state.text, work)
        request = GenerationRequest(
            prompt, 0, max_tokens, END_OF_PROGRAM, temperature=0.0, stop_text=self._template.check_stop_text
        )
        [piece] = await self._engine.submit(generation(self._lm), [request], role=Role.CRITIC)
        count_generated(Role.CRITIC, self._lm, [request], [piece])
        return piece

    async def _run(self, code: str) -> ProgramRun:
        try:
            result = await self._sandbox.run_async(code)
        except (SandboxError, ValueError) as error:
            raise CriticError(f"{self.name} could not run a program: {error}") from error
        return ProgramRun(code, result.status.value, output_shown(result, self._max_output))


def output_shown(result: ProgramResult, most: int) -> str:
    """Returns the output of a program as the critic sees it, with the reason of a failure.

    A long output is cut after `most` characters; of an error's traceback only the last line is shown.
    """
    shown = result.stdout.rstrip()
    if len(shown) > most:
        shown = shown[:most] + f"\n({len(shown) - most} more characters)"
    if result.status is Status.OK:
        return shown or "(the program printed nothing)"
    reason = result.stderr.strip().rpartition("\n")[2][:most]
    return "\n".join(line for line in (shown, _FAILURES[result.status], reason) if line)
