from collections.abc import Sequence
from dataclasses import replace

import pytest
from scripted_world import make_simulator, search

from agents.base import Budget
from agents.mcts import eta_mcts
from agents.presets import PRESETS, preset_family
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.simulator import Simulator
from alphallm_env.testing.scripted import Continuations, ScriptedLM


@pytest.mark.parametrize(
    ("preset", "c", "c_min_root", "c_min"),
    [
        ("gsm8k_small", 1.0, 10, 2),
        ("gsm8k_large", 1.5, 40, 2),
        ("math_small", 1.0, 10, 3),
        ("math_large", 1.0, 20, 3),
    ],
)
def test_the_papers_table(preset: str, c: float, c_min_root: int, c_min: int):
    config = PRESETS[preset]
    width, scoring = config.width, config.scoring
    assert (config.descent.c, width.alpha) == (c, 1.0)
    assert (width.c_min_root, width.c_min, width.c_max_root, width.c_max) == (c_min_root, c_min, 60, 10)
    assert (config.sampling.depth_limit, scoring.num_rollouts) == (10, 4)
    assert (scoring.beta_value, scoring.beta_prm, scoring.beta_orm) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("problems", "family"),
    [
        ("gsm_symbolic", "tiny"),
        ("gsm_symbolic:full", "tiny"),
        ("gsm8k", "gsm8k"),
        ("data/GSM8K_hard.jsonl", "gsm8k"),
        ("openai/gsm8k", "gsm8k"),
        ("math", "math"),
        ("runs/gsm8k/mine.jsonl", "tiny"),  # the folder does not count
        ("mine.jsonl", "tiny"),
    ],
)
def test_problem_sets_have_their_presets(problems: str, family: str):
    assert preset_family(problems) == family
    assert {f"{family}_small", f"{family}_large"} <= PRESETS.keys()


def lines(num: int) -> dict[str, Continuations]:
    """Short lines, each with its own mathematics, and after each an answer: what `num` options a policy has."""
    first = [(f"{n + 20} - {n} = 20\n", 1 / num) for n in range(num)]
    return {"": first} | {line: [(f"#### {10 * n + m}\n", 0.1) for m in range(10)] for n, (line, _) in enumerate(first)}


class Secretive(ScriptedLM):
    """Does not say how likely its texts are, as some servers do not."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        return [replace(completion, log_prob=None) for completion in super().generate(requests)]


def simulator_of(script: dict[str, Continuations], *, is_secretive: bool) -> Simulator:
    simulator = make_simulator(script)
    return replace(simulator, policy=replace(simulator.policy, lm=Secretive(script))) if is_secretive else simulator


@pytest.mark.parametrize("is_secretive", [False, True])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_reaches_c_min_children_where_the_policy_has_them(preset: str, is_secretive: bool):
    width = PRESETS[preset].width
    simulator = simulator_of(lines(width.c_min_root), is_secretive=is_secretive)
    result = search(eta_mcts(preset), simulator, Budget(tokens=100_000), seed=4)
    assert result.root is not None
    assert len(result.root.children) == width.c_min_root
    assert all(len(child.children) >= width.c_min for child in result.root.children)


@pytest.mark.parametrize("is_secretive", [False, True])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_policy_with_one_thing_to_say_ends_the_search(preset: str, is_secretive: bool):
    certain: dict[str, Continuations] = {"": [("2 * 3 = 6\n", 1.0)], "2 * 3 = 6\n": [("#### 6\n", 1.0)]}
    result = search(eta_mcts(preset), simulator_of(certain, is_secretive=is_secretive), Budget(tokens=1_000_000))
    assert result.answer == "6"
    assert result.usage.tokens < 20_000
