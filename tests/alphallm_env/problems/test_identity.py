"""What planners are told of a problem is its question: no id holds what it was generated from."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import gymnasium as gym
import pytest
from paths import ROOT

import alphallm_env  # noqa: F401  registers the environments
from alphallm_env.problems import gsm_symbolic, load_problems, opaque_id


def numbers_in(text: str) -> set[int]:
    """Returns the numbers that a planner can read from an id: of every part, in base 10 and 16."""
    found = {0, 1}
    for part in text.split("/"):
        for base in (10, 16):
            try:
                found.add(int(part, base))
            except ValueError:
                continue
    return found


@pytest.mark.parametrize("source", ["gsm_symbolic", "gsm_symbolic:full"])
def test_no_generator_makes_a_problem_from_its_id(source: str):
    problems = load_problems(source, "test", limit=6, seed=5)
    generators = gsm_symbolic._generators().generators
    for problem in problems:
        template = int(problem.source.rpartition(" ")[2])
        for number in numbers_in(problem.id):
            for seed in (number, str(number)):
                assert generators[template](Random(seed), 1.0)["question"] != problem.question


def test_an_id_is_made_from_the_question_alone():
    by_question = {p.question: p.id for p in load_problems("gsm_symbolic", "train", limit=200, seed=1)}
    for seed in (2, 3):
        for problem in load_problems("gsm_symbolic", "train", limit=200, seed=seed):
            assert by_question.setdefault(problem.question, problem.id) == problem.id
    assert len(set(by_question.values())) == len(by_question)


def test_problems_of_one_template_have_ids_that_differ_after_the_last_slash_only():
    problems = load_problems("gsm_symbolic", "train", limit=120)
    groups = {problem.id.rpartition("/")[0]: problem.source for problem in problems}
    assert len(groups) == len(set(groups.values())) == 20


def test_ids_are_the_same_in_every_process_and_start_an_episode():
    [problem] = load_problems("gsm_symbolic", limit=1)
    program = "from alphallm_env.problems import load_problems; print(load_problems('gsm_symbolic', limit=1)[0].id)"
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == problem.id
    env = gym.make("AlphaLLM/GSMSymbolic-v0", limit=3, split="test", reward="verifier").unwrapped
    question, info = env.reset(options={"problem_id": problem.id})
    assert (question, info["problem_id"]) == (problem.question, problem.id)
    assert env.clone_state().problem_id == problem.id


def test_groups_and_prefixes_are_parts_of_an_id():
    assert opaque_id("a", question="Q") != opaque_id("b", question="Q")
    assert opaque_id("a", 1, question="Q").split("/")[0] == "a"
    assert opaque_id("a", 1, question="Q").split("/")[1] != opaque_id("a", 2, question="Q").split("/")[1]
    assert opaque_id("a", 1, question="Q").split("/")[2] == opaque_id("a", 2, question="Q").split("/")[2]
