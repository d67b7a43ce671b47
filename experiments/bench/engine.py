"""How well the engine uses a model, and what its own bookkeeping costs. Ratios of one run.

    python -m experiments.bench.engine --json FILE
    python -m experiments.bench.engine --real FOLDER        # the same with a real causal LM, prompted as its own critic
    python -m experiments.bench.engine --device cuda

Every key of the JSON is a line of the table; `docs/engine.md` says what each means. Run it on an idle machine.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from operator import truediv
from pathlib import Path

import torch
import tyro
from rich.table import Table

from agents.base import Budget
from agents.mcts import eta_mcts
from agents.running import run_episodes
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.local.decoder import Decoder, Job, Text, written
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.policy import Policy
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.problems import load_problems
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import write_whole
from alphallm_env.runtime.metering import Usage
from alphallm_env.simulator import Simulator
from alphallm_env.types import Problem
from experiments.bench import bookkeeping, faults
from experiments.bench.bandwidth import measured_bandwidth, share_of_limit
from experiments.runs.screen import quiet_libraries, results_console

_SAMPLES = 8  # of a prompt, where the decoder is compared with `generate`
_LARGEST_BATCH = 256
_LEAST_PROBLEMS = _LARGEST_BATCH // _SAMPLES


@dataclass(frozen=True)
class BenchConfig:
    """What to measure. Real problems are read from `real_problems`, questions alone."""

    json: Path | None = None
    real: str = ""  # folder or hub name of a causal LM
    real_problems: str = "gsm_symbolic"
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 2
    problems: int = 64
    budget: int = 1_500  # tokens a search
    repeats: int = 3

    def __post_init__(self) -> None:
        if self.problems < _LEAST_PROBLEMS:
            raise ValueError(f"problems must be >= {_LEAST_PROBLEMS}, got {self.problems}")


@dataclass(frozen=True)
class Searched:
    """Some searches: what they cost together, and seconds of wall clock and of the models."""

    usage: Usage
    seconds: float
    model_seconds: float
    writing_seconds: float

    @property
    def num_written(self) -> int:
        """Tokens written, by policy, rollouts and critics."""
        return self.usage.policy.generated + self.usage.rollout.generated + self.usage.critic.generated

    @property
    def tokens_per_second(self) -> float:
        """Tokens decoded a second, without the seconds in which critics prefill: nothing is decoded then."""
        return self.num_written / (self.seconds - self.model_seconds + self.writing_seconds)


def searched(simulator: Simulator, problems: Sequence[Problem], budget: int, concurrency: int) -> Searched:
    """Searches the problems with ηMCTS, with empty caches."""
    simulator.clear_cache()
    before = replace(simulator.engine.statistics)
    started = time.perf_counter()
    episodes = run_episodes(
        eta_mcts("tiny_large"), simulator, problems, Budget(tokens=budget), 0, concurrency=concurrency
    )
    usage = sum((result.usage for _, result in episodes), Usage())
    seconds, after = time.perf_counter() - started, simulator.engine.statistics
    return Searched(
        usage,
        seconds,
        after.model_seconds - before.model_seconds,
        after.stepping_seconds - before.stepping_seconds,
    )


def requests_for(policy: Policy, problems: Sequence[Problem], num: int, max_tokens: int) -> list[GenerationRequest]:
    """Returns whole solutions to sample, as many as asked for, the problems in turn."""
    prompts = [policy.template.solve(problem.question, "") for problem in problems]
    stop_text = policy.template.stop_text
    return [GenerationRequest(prompts[i % len(prompts)], i, max_tokens, stop_text=stop_text) for i in range(num)]


def raw_tokens_per_second(lm: TransformersLM, requests: Sequence[GenerationRequest], concurrency: int) -> float:
    """Returns the tokens a second of a decoder by itself, with `concurrency` requests in its batch."""
    lm.clear_cache()
    decoder = lm.stepped_batch
    waiting, num_written = list(requests), 0
    started = time.perf_counter()
    while waiting or len(decoder):
        room = concurrency - len(decoder)
        decoder.join(waiting[:room])
        del waiting[:room]
        num_written += sum(len(job.tokens) for job in decoder.step() if isinstance(job, Text))
    return num_written / (time.perf_counter() - started)


def prefill_ratio(simulator: Simulator, lm: TransformersLM, problems: Sequence[Problem], budget: int) -> float:
    """Returns the prompt tokens computed over a search ÷ the different ones, those of a shared prefix once."""
    prompts: set[str] = set()
    decoder = lm.stepped_batch
    join = decoder.join

    def remember(requests: Sequence[GenerationRequest]) -> Sequence[Job]:
        prompts.update(request.prompt for request in requests)
        return join(requests)

    decoder.join = remember  # type: ignore[method-assign]
    try:
        usage = searched(simulator, problems, budget, len(problems)).usage
    finally:
        del decoder.join
    slots: dict[tuple[int, int], int] = {}
    for tokens in lm.vocabulary.encode(sorted(prompts)):
        slot = -1
        for token in tokens:
            slot = slots.setdefault((slot, token), len(slots))
    return (usage.policy.prefilled + usage.rollout.prefilled) / len(slots)


@torch.inference_mode()
def raw_and_generate(lm: TransformersLM, prompts: Sequence[str], num_tokens: int) -> tuple[float, float]:
    """Returns the tokens a second of our decoder and of `model.generate` with its default cache.

    Each samples exactly `num_tokens` after every prompt.
    """
    endless = replace(lm.vocabulary, banned=lm.vocabulary.banned.clone())
    endless.banned[list(lm.vocabulary.end_ids)] = True
    lm.clear_cache()
    requests = [GenerationRequest(prompt, seed, num_tokens) for seed, prompt in enumerate(prompts)]
    started = time.perf_counter()
    written(Decoder(lm.model, endless, lm.prefixes), requests)
    ours = time.perf_counter() - started
    lm.clear_cache()
    batch = lm.tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False).to(lm.model.device)  # type: ignore[union-attr]
    started = time.perf_counter()
    lm.model.generate(  # type: ignore[operator]
        **batch, do_sample=True, top_k=0, max_new_tokens=num_tokens, min_new_tokens=num_tokens,
        pad_token_id=lm.vocabulary.pad_id,
    )  # fmt: skip
    theirs = time.perf_counter() - started
    return len(prompts) * num_tokens / ours, len(prompts) * num_tokens / theirs


def of_model(
    config: BenchConfig, name: str, policy: Policy, critics: str, problems: Sequence[Problem]
) -> dict[str, float]:
    """Returns the figures of one model."""
    real = name == "real"
    lm = policy.lm
    assert isinstance(lm, TransformersLM)
    lm.tokenizer.padding_side = "left"
    rules = Rules(SentenceRule(), max_tokens=200 if real else 120)
    bandwidth = measured_bandwidth(lm.model.device)
    figures = {"bandwidth_gb_per_second": bandwidth / 1e9}
    prompts = [policy.template.solve(problem.question, "") for problem in problems]
    for batch, num_tokens in ((32, 32),) if real else ((64, 48), (_LARGEST_BATCH, 48)):
        chosen = [prompts[i // _SAMPLES] for i in range(batch)]
        ours, theirs = zip(*(raw_and_generate(lm, chosen, num_tokens) for _ in range(config.repeats)), strict=True)
        key = f"{name}_{batch}" if batch == _LARGEST_BATCH else name
        figures[f"raw_vs_generate_{key}"] = statistics.median(map(truediv, ours, theirs))
        rate, length = statistics.median(ours), statistics.mean(map(lm.count_tokens, chosen)) + num_tokens / 2
        figures[f"decoder_tokens_per_second_{key}"] = rate
        figures[f"bandwidth_share_{key}"] = share_of_limit(lm, rate, batch, length, bandwidth)
    with Engine() as engine:
        simulator = build_simulator(policy, critics, rules, engine, config.device)
        searched(simulator, problems[:2], 300, 2)  # warm-up
        asked = requests_for(policy, problems, 4 * len(problems), rules.max_tokens)
        pairs = [
            (
                searched(simulator, problems, config.budget, len(problems)),
                raw_tokens_per_second(lm, asked, len(problems)),
            )
            for _ in range(config.repeats)
        ]
        together, raw = sorted(pairs, key=lambda pair: pair[0].tokens_per_second / pair[1])[len(pairs) // 2]
        figures[f"tokens_per_second_{name}"] = together.tokens_per_second
        figures[f"raw_tokens_per_second_{name}"] = raw
        figures[f"utilisation_{name}"] = together.tokens_per_second / raw
        figures[f"utilisation_of_all_seconds_{name}"] = together.num_written / together.seconds / raw
        figures[f"model_share_{name}"] = together.model_seconds / together.seconds
        if not real:
            figures["prefill_ratio"] = prefill_ratio(simulator, lm, problems, config.budget)
            alone = searched(simulator, problems, config.budget, 1)
            figures["speedup_over_serial"] = alone.seconds / together.seconds
    return figures


def of_bookkeeping() -> dict[str, float]:
    """Returns what a simulation and a node cost beside the models."""
    sizes = (100, 1_000, 10_000)
    overhead = {f"overhead_us_{num}": bookkeeping.microseconds(num) for num in sizes}
    for part in bookkeeping.PARTS:
        overhead |= {f"overhead_us_{num}_{part}": bookkeeping.microseconds(num, part=part) for num in sizes}
    return overhead | {"node_bytes": bookkeeping.bytes_per_node()}


def main(config: BenchConfig) -> dict[str, float]:
    """Measures, prints the table and writes the JSON."""
    quiet_libraries()
    torch.set_num_threads(config.threads)
    figures = of_bookkeeping()
    if config.real:
        problems = load_problems(config.real_problems, "test", 8)
        figures |= of_model(config, "real", load_policy(config.real, config.device, config.dtype), "prompted", problems)
    else:
        problems = load_problems("gsm_symbolic", "test", config.problems)
        figures |= of_model(config, "tiny", load_policy("tiny", config.device, config.dtype), "tiny", problems)
    survived = faults.survived_by_kind()
    table = Table(title="the engine")
    table.add_column("key")
    table.add_column("figure", justify="right")
    for key, figure in figures.items():
        table.add_row(key, f"{figure:,.2f}")
    for kind, survival in survived.items():
        counts = (
            f"{survival.survived} / {survival.tried}, {survival.lost} lost, {survival.repeated_tokens} tokens again"
        )
        table.add_row(f"faults_survived: {kind}", counts)
    results_console().print(table)
    if config.json:
        written_down = figures | {"faults_survived": {kind: asdict(survival) for kind, survival in survived.items()}}
        write_whole(config.json, json.dumps(written_down, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main(tyro.cli(BenchConfig))
