"""The data types of all packages: problems, options, states, endings, transitions, trajectories."""

from __future__ import annotations

import enum
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, cast

from alphallm_env.errors import StateError
from alphallm_env.frozen import quick_init


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with, where it is known, its final answer and a worked solution.

    Only the grader reads `answer` and `solution`; no policy or critic ever receives a `Problem`.
    An imagined problem has neither. `verifier` names what judges solutions by the question alone
    (`problems/verifiers.py`), empty where the answer is compared with the gold answer.
    """

    id: str
    question: str
    answer: str | None = None
    solution: str | None = None
    source: str = ""
    verifier: str = ""

    @property
    def is_gradable(self) -> bool:
        """Whether a solution can be judged: by a verifier, or by the gold answer."""
        return bool(self.verifier) or self.answer is not None


class StopReason(enum.Enum):
    """Why an option ended."""

    RULE = "rule"  # the termination function β fired
    END_OF_TEXT = "end_of_text"  # the model ended its whole text
    LENGTH = "length"  # the option reached its token limit


@quick_init
@dataclass(frozen=True, slots=True)
class Option:
    """A realised option: the text that a policy or an agent wrote until β ended it.

    `log_prob` is the sum of the natural log-probabilities of its tokens under the policy at
    temperature 1, None where it was not computed (an option typed by a user).
    """

    text: str
    num_tokens: int
    log_prob: float | None = None
    stop_reason: StopReason = StopReason.RULE

    def __post_init__(self) -> None:
        if self.num_tokens < 0:
            raise ValueError(f"num_tokens must be >= 0, got {self.num_tokens}")


class Ending(enum.Enum):
    """How an episode ended, and so whether it terminated or was truncated."""

    ANSWERED = "answered"
    DEAD_END = "dead_end"  # the text was closed without a final answer
    INVALID_ACTION = "invalid_action"  # an agent chose what was not on offer, where that ends an episode
    OUT_OF_TOKENS = "out_of_tokens"
    OUT_OF_OPTIONS = "out_of_options"

    @property
    def terminates(self) -> bool:
        """Whether the episode terminated: the value of its last state is 0."""
        return self in (Ending.ANSWERED, Ending.DEAD_END, Ending.INVALID_ACTION)

    @property
    def truncates(self) -> bool:
        """Whether a budget cut the episode: the value of its last state is not 0."""
        return not self.terminates


@quick_init
@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A question and the options taken so far: immutable, and linked to its parent instead of copying it.

    A state is its own snapshot, so cloning costs the same at any depth. Two states are equal exactly
    if the same problem was answered by the same options; the hash is the same in every process.
    """

    problem_id: str
    question: str
    parent: State | None = field(default=None, repr=False)  # else repr would recurse to the root
    option: Option | None = None
    depth: int = 0  # options taken
    num_tokens: int = 0  # tokens of all options taken
    ending: Ending | None = None
    verifier: str = ""  # of the problem: what tells legal lines, and free to ask
    _digest: bytes | None = field(default=None, init=False, repr=False)
    _text: str | None = field(default=None, init=False, repr=False)

    @property
    def digest(self) -> bytes:
        """Sixteen bytes that are equal for equal states, in every process. Computed on first use, then cached."""
        if self._digest is None:
            unknown = list(takewhile(lambda state: state._digest is None, self.path()))
            for state in reversed(unknown):  # from the root, so that each finds its parent's
                object.__setattr__(state, "_digest", state._compute_digest())
        return cast(bytes, self._digest)

    def _compute_digest(self) -> bytes:
        hasher = hashlib.blake2b(digest_size=16)
        if self.parent is None or self.option is None:
            problem_id = self.problem_id.encode("utf-8", "surrogatepass")
            hasher.update(b"root" + struct.pack("<q", len(problem_id)) + problem_id)
            hasher.update(self.question.encode("utf-8", "surrogatepass"))
            if self.verifier:
                hasher.update(b"\0verifier" + self.verifier.encode())
            return hasher.digest()
        option = self.option
        log_prob = b"none" if option.log_prob is None else struct.pack("<d", option.log_prob)
        ending = self.ending.value if self.ending else "running"
        hasher.update(self.parent.digest + struct.pack("<q", option.num_tokens) + log_prob)
        hasher.update(f"{option.stop_reason.value}\0{ending}\0".encode())
        hasher.update(option.text.encode("utf-8", "surrogatepass"))
        return hasher.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self.digest == other.digest

    def __hash__(self) -> int:
        return int.from_bytes(self.digest[:8], "little", signed=True)

    def __copy__(self) -> State:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> State:
        return self

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return State.from_bytes, (self.to_bytes(),)

    def path(self) -> Iterator[State]:
        """Yields this state, its parent, and so on up to the initial state."""
        state: State | None = self
        while state is not None:
            yield state
            state = state.parent

    @property
    def root(self) -> State:
        """The initial state of the episode."""
        state = self
        while state.parent is not None:
            state = state.parent
        return state

    @property
    def options(self) -> tuple[Option, ...]:
        """The options taken so far, first to last."""
        return tuple(state.option for state in self.path() if state.option is not None)[::-1]

    @property
    def text(self) -> str:
        """The solution written so far, without the question. Joined on first use, then kept."""
        if self._text is not None:
            return self._text
        before = self.parent._text if self.parent is not None else None
        if before is not None and self.option is not None:
            text = before + self.option.text
        else:
            text = "".join(option.text for option in self.options)
        object.__setattr__(self, "_text", text)
        return text

    def to_bytes(self) -> bytes:
        """Returns the state as UTF-8 JSON, which `from_bytes` reads in any process."""
        steps = [
            [s.option.text, s.option.num_tokens, s.option.log_prob, s.option.stop_reason.value,
             s.ending.value if s.ending else None]
            for s in self.path() if s.option is not None
        ]  # fmt: skip
        record = {"problem_id": self.problem_id, "question": self.question, "steps": steps[::-1]}
        if self.verifier:
            record["verifier"] = self.verifier
        # Not ASCII: two adjacent surrogates would be read back as one character.
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")

    @staticmethod
    def from_bytes(data: bytes) -> State:
        """Returns the state that `to_bytes` wrote. Raises StateError if the bytes are not one."""
        try:
            record = json.loads(data.decode("utf-8", "surrogatepass"))
            state = State(str(record["problem_id"]), str(record["question"]), verifier=str(record.get("verifier", "")))
            for text, num_tokens, log_prob, stop_reason, ending in record["steps"]:
                log_prob = None if log_prob is None else float(log_prob)
                option = Option(str(text), int(num_tokens), log_prob, StopReason(stop_reason))
                state = state.child(option, Ending(ending) if ending else None)
        except (ValueError, KeyError, TypeError, OverflowError, struct.error) as error:
            raise StateError(f"expected the bytes of a State, got {data[:40]!r}: {error}") from error
        return state

    def child(self, option: Option, ending: Ending | None) -> State:
        """Returns the state after `option`. No rule is checked here: `dynamics.transition` does."""
        num_tokens = self.num_tokens + option.num_tokens
        return State(self.problem_id, self.question, self, option, self.depth + 1, num_tokens, ending, self.verifier)


@dataclass(frozen=True, slots=True)
class Transition:
    """The result of executing one option. `discount` multiplies the value of `state` (0 once terminated)."""

    state: State
    discount: float

    @property
    def terminated(self) -> bool:
        """Whether the episode terminated."""
        return self.state.ending is not None and self.state.ending.terminates

    @property
    def truncated(self) -> bool:
        """Whether a budget cut the episode."""
        return self.state.ending is not None and self.state.ending.truncates


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """A program that a critic wrote, how it ended (a `sandbox.Status` by value), and the output shown to the critic."""

    code: str
    status: str
    output: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text that a critic wrote before it scored, the programs in it with their outputs, and the score."""

    text: str
    programs: tuple[ProgramRun, ...]
    score: float

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Transcript:
        """Returns the transcript that `dataclasses.asdict` turned into JSON."""
        programs = tuple(ProgramRun(**run) for run in record["programs"])
        return Transcript(record["text"], programs, record["score"])


class ScoreKind(enum.Enum):
    """What the score of a trajectory is. Only scores of one kind can be compared."""

    ORM = "orm"  # the ORM's score, 0 for a text without an answer
    CRITICS = "critics"  # the weighted mean of the critics in use, where the ORM is switched off
    VOTE_SHARE = "vote_share"  # the share of a search's samples that give the same answer
    HAS_ANSWER = "has_answer"  # 1 for a text that states an answer, else 0: no critic scored it
    REWARD = "reward"  # the environment's reward at the last step
    UNSPECIFIED = "unspecified"  # the planner does not say


@quick_init
@dataclass(frozen=True, slots=True)
class Trajectory:
    """A finished or cut episode with its score in [0, 1], and what kind of score that is.

    `transcript` is the text of the critic that scored it, None for a critic that writes none.
    """

    state: State
    score: float
    transcript: Transcript | None = None
    score_kind: ScoreKind = ScoreKind.UNSPECIFIED

    @property
    def options(self) -> tuple[Option, ...]:
        """The options of the episode, first to last."""
        return self.state.options
