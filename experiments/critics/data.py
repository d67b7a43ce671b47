"""Collects the data that critics learn from: the policy's own trajectories, graded by final answers alone.

Labels need no rationale. The value of a prefix is the share of the trajectories through it that end
correctly. A step is good if, of at least `min_visits` continuations after it, a share of `threshold` ends
correctly (Math-Shepherd: Wang et al. 2024); prefixes visited less often get rollouts of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path
from random import Random

from alphallm_env.errors import ProblemError
from alphallm_env.grading import Verdict
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.policy import Policy
from alphallm_env.mdp.options import TO_THE_END, OptionRule, split_options
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems import check_overlap, load_problems
from alphallm_env.runtime.files import Journal
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.training.graded import LabelledStep, ProblemData, Sample, prefix_counts
from alphallm_env.types import Problem
from experiments.critics.config import AT_ONCE
from experiments.runs.records import check_same_problems


def problem_splits(source: str, sizes: Mapping[str, int], seed: int) -> dict[str, list[Problem]]:
    """Returns as many problems of each split as `sizes` says. A JSONL file is shuffled and cut into them, in order.

    Raises OverlapError if two splits share a question, ProblemError if a file has too few problems.
    """
    if source.endswith(".jsonl"):
        rows = load_problems(source)
        if len(rows) < sum(sizes.values()):
            raise ProblemError(f"expected {sum(sizes.values())} problems in {source}, got {len(rows)}")
        shuffled = iter(Random(seed).sample(rows, len(rows)))
        problems = {split: list(islice(shuffled, size)) for split, size in sizes.items()}
    else:
        problems = {split: load_problems(source, split, size, seed) for split, size in sizes.items()}
    for one, other in combinations(problems.values(), 2):
        check_overlap(one, other)
    return problems


class Sampler:
    """Draws trajectories and continuations from a policy, `at_once` of them in a batch."""

    def __init__(
        self,
        policy: Policy,
        rule: OptionRule,
        max_tokens: int,
        temperature: float,
        seed: int,
        at_once: int = AT_ONCE,
    ) -> None:
        if at_once < 1:
            raise ValueError(f"at_once must be >= 1, got {at_once}")
        self.at_once = at_once
        self._policy = policy
        self._rule = rule
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._seed = seed

    def continuations(self, starts: Sequence[tuple[Problem, tuple[str, ...]]], num: int, salt: str) -> list[list[str]]:
        """Returns `num` texts to the end for each problem and prefix of steps, as long as a whole text may be."""
        requests = [
            GenerationRequest(
                prompt=self._policy.template.solve(problem.question, "".join(prefix)),
                seed=derive_seed(self._seed, salt, problem.id, "".join(prefix), index),
                max_tokens=left,
                rule=TO_THE_END,
                temperature=self._temperature,
                stop_text=self._policy.template.stop_text,
            )
            for problem, prefix in starts
            for left in [max(1, self._max_tokens - self._policy.lm.count_tokens("".join(prefix)))]
            for index in range(num)
        ]
        completions = []
        for start in range(0, len(requests), self.at_once):
            completions += self._policy.lm.generate(requests[start : start + self.at_once])
        texts = [completion.text for completion in completions]
        return [texts[i * num : (i + 1) * num] for i in range(len(starts))]

    def trajectories(self, problems: Sequence[Problem], num: int) -> list[list[Sample]]:
        """Returns `num` trajectories of each problem, fewer where some could not be graded."""
        texts = self.continuations([(problem, ()) for problem in problems], num, "trajectory")
        return [
            [
                Sample(p.id, p.question, split_options(text, self._rule), correct)
                for text in group
                if (correct := is_correct(text, p)) is not None
            ]
            for p, group in zip(problems, texts, strict=True)
        ]


def is_correct(text: str, problem: Problem) -> bool | None:
    """Returns whether `text` solves the problem, None where it cannot be graded."""
    if not problem.is_gradable:
        raise ValueError(f"expected a problem with an answer, got {problem.id!r} without")
    verdict = verdict_of(text, problem)
    return None if verdict == Verdict.UNGRADABLE.value else verdict == CORRECT


def label_steps(
    sampler: Sampler,
    groups: Sequence[tuple[Problem, Sequence[Sample]]],
    min_visits: int,
    steps_per_problem: int,
) -> list[list[LabelledStep]]:
    """Returns, per problem, steps with the share of correct continuations after them.

    The most visited prefixes come first. A last step is labelled by its own outcome.
    """
    wanted: list[tuple[Problem, tuple[str, ...], int, int, bool]] = []
    for problem, samples in groups:
        final = {sample.steps for sample in samples}
        counts = prefix_counts(samples)
        ranked = sorted((p for p in counts if p), key=lambda p: (-counts[p][0], p))
        open_ones = [p for p in ranked if p not in final][:steps_per_problem]
        closed = [p for p in ranked if p in final][: max(1, steps_per_problem // 4)]
        wanted += [(problem, prefix, *counts[prefix], prefix in final) for prefix in open_ones + closed]
    thin = [(p, prefix) for p, prefix, visits, _, ended in wanted if visits < min_visits and not ended]
    extra = dict(
        zip(
            ((p.id, prefix) for p, prefix in thin),
            sampler.continuations(thin, max(1, min_visits - 1), "continuation"),
            strict=True,
        )
    )
    labelled: dict[str, list[LabelledStep]] = {problem.id: [] for problem, _ in groups}
    for problem, prefix, visits, correct, _ in wanted:
        ends = [is_correct("".join(prefix) + text, problem) for text in extra.get((problem.id, prefix), [])]
        graded = [end for end in ends if end is not None]
        share = (correct + sum(graded)) / (visits + len(graded))
        labelled[problem.id].append(LabelledStep(problem.question, prefix[:-1], prefix[-1], share))
    return [labelled[problem.id] for problem, _ in groups]


StepLabeller = Callable[[Sequence[tuple[Problem, Sequence[Sample]]]], list[list[LabelledStep]]]


def collect(
    sampler: Sampler,
    problems: Sequence[Problem],
    path: Path,
    num_samples: int,
    label: StepLabeller,
) -> list[ProblemData]:
    """Returns the data of all problems; finished problems are read back from `path`, a JSONL file.

    `label` labels the steps of samples, per problem. The file grows by as many problems as fill two of the
    sampler's batches. Raises RunError if the file holds other problems.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path, ProblemData.to_json, ProblemData.from_json)
    data = journal.read()
    known = [replace(p, id=e.samples[0].problem_id, question=e.samples[0].question) if e.samples else None
             for e, p in zip(data, problems, strict=False)]  # fmt: skip
    check_same_problems(known, problems, str(path))
    chunk = max(1, 2 * sampler.at_once // num_samples)
    for start in range(len(data), len(problems), chunk):
        part = problems[start : start + chunk]
        samples = sampler.trajectories(part, num_samples)
        steps = label(list(zip(part, samples, strict=True)))
        fresh = [ProblemData(tuple(s), tuple(t)) for s, t in zip(samples, steps, strict=True)]
        journal.append(fresh)
        data += fresh
        right = sum(sample.correct for entry in fresh for sample in entry.samples)
        print(
            f"{path.stem}: {len(data)}/{len(problems)} problems, {right / (len(part) * num_samples):.3f} right",
            flush=True,
        )
    return data
