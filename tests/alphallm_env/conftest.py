"""A small deterministic language model that remembers its prompts, and what is built around it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT

from alphallm_env import Critics, MathReasoningEnv, OptionChoiceEnv, Policy, Problem, Rules, Simulator, StopReason
from alphallm_env.critics.prompted.generative import OutcomeRewardModel, ProcessRewardModel
from alphallm_env.critics.trained.value import Estimate, LearnedValue
from alphallm_env.lm.base import Completion, Embedding, GenerationRequest, LabelProbs
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.seeds import derive_seed

GOLD = "98765432123"
PROBLEMS = (
    Problem("p/one", "How much is 2 + 3?", GOLD, f"A secret way.\n#### {GOLD}"),
    Problem("p/two", "Combien font 6 × 7, à peu près ?", GOLD, f"A secret way.\n#### {GOLD}"),
    Problem("p/three", "What is left of 9 apples?", GOLD, f"A secret way.\n#### {GOLD}"),
)


class RecordingLM:
    """Writes lines that depend on prompt and seed only, and answers at the fourth. A word is a token."""

    name = "recording"
    is_reproducible = True

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.batch_sizes: list[int] = []

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        self.batch_sizes.append(len(requests))
        return [self._complete(request) for request in requests]

    def _complete(self, request: GenerationRequest) -> Completion:
        self.prompts.append(request.prompt)
        text = ""
        while len(text.split()) < request.max_tokens:
            seed = request.seed if request.temperature > 0 else 0
            number = derive_seed(request.prompt, seed, text) % 90
            answers = (request.prompt + text).count("\n") >= 3
            text += f"#### {number}\n" if answers else f"so {number} + 1 = {number + 1}\n"
            before = request.before_stop(text)
            if before is not None and len(text.split()) <= request.max_tokens:
                return Completion(before, len(text.split()), -0.5, StopReason.END_OF_TEXT, 3)
            if request.rule.terminates(text):
                return Completion(text, len(text.split()), -0.5, StopReason.RULE, 3)
            if answers:
                return Completion(text, len(text.split()), -0.5, StopReason.END_OF_TEXT, 3)
        words = text.split()[: request.max_tokens]
        return Completion(" ".join(words), len(words), -0.5, StopReason.LENGTH, 3)

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        self.prompts += prompts
        true = [derive_seed(prompt) % 1000 / 1000 for prompt in prompts]
        return [
            LabelProbs((p * 0.5, (1 - p) * 0.5), len(prompt.split())) for p, prompt in zip(true, prompts, strict=True)
        ]

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def simulator_around(lm: RecordingLM, rules: Rules | None = None) -> Simulator:
    engine, template = Engine(), TinyTemplate()
    critics = Critics(prm=ProcessRewardModel(lm, template, engine), orm=OutcomeRewardModel(lm, template, engine))
    return Simulator(Policy(lm, template), critics, rules or Rules(), engine=engine)


@pytest.fixture(scope="session")
def make_lm() -> Callable[[], RecordingLM]:
    return RecordingLM


@pytest.fixture(scope="session")
def make_simulator() -> Callable[..., Simulator]:
    return lambda lm=None, rules=None: simulator_around(lm or RecordingLM(), rules)


@pytest.fixture(scope="session")
def make_env() -> Callable[..., MathReasoningEnv]:
    """Returns a maker of environments around the recording model, by default with the critics' reward."""

    def make(lm=None, rules=None, **arguments):
        return MathReasoningEnv.from_parts(simulator_around(lm or RecordingLM(), rules), PROBLEMS, **arguments)

    return make


class EmbeddingLM(RecordingLM):
    """Shows hidden states as well, and values: numbers that depend on the prompt only."""

    embedding_size = 3

    def embed(self, prompts: Sequence[str]) -> list[Embedding]:
        self.prompts += prompts
        seeds = [derive_seed(prompt) for prompt in prompts]
        return [Embedding(np.random.default_rng(s).uniform(-1, 1, 3).astype(np.float32), 5, 4) for s in seeds]

    def values(self, prompts: Sequence[str]) -> list[Estimate]:
        self.prompts += prompts
        return [Estimate(derive_seed(prompt, "value") % 1000 / 1000, 4) for prompt in prompts]


@pytest.fixture(scope="session")
def make_choice() -> Callable[..., OptionChoiceEnv]:
    """Returns a maker of Choice environments around the recording model."""

    def make(lm=None, rules=None, problems=PROBLEMS, **arguments):
        lm = lm or EmbeddingLM()
        judged = simulator_around(lm, rules)
        value = LearnedValue(lm, judged.policy.template, judged.engine)
        critics = Critics(value, judged.critics.prm, judged.critics.orm)
        simulator = Simulator(judged.policy, critics, judged.rules, engine=judged.engine)
        return OptionChoiceEnv.from_parts(simulator, problems, **arguments)

    return make


@pytest.fixture(scope="session")
def make_embedding_lm() -> Callable[[], EmbeddingLM]:
    return EmbeddingLM


@pytest.fixture(scope="session")
def problems() -> tuple[Problem, ...]:
    return PROBLEMS


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
