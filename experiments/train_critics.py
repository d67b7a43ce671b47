"""Trains value function, PRM and ORM for a policy, from its own trajectories and final answers alone.

    python -m experiments.train_critics --out runs/critics                    # for the shipped tiny policy
    python -m experiments.train_critics --policy FOLDER --problems FILE.jsonl --out runs/critics

One trunk, started from the policy's weights, serves all three: PRM and ORM by generating True or False,
the value function by a scalar head, regressed on the share of correct endings (PAPER §3). Scores are
Platt-scaled on a development split, then measured on a held-out one. Data collection can be stopped
and goes on; training starts again from the data.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import cast

import torch
import tyro
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedModel

from alphallm_env.critics.calibration import PlattScaling, Quality, fit_platt, quality
from alphallm_env.critics.generative import Labeller, share_of_true
from alphallm_env.critics.model import CriticModel, save_calibration
from alphallm_env.critics.value import save_head
from alphallm_env.lm.templates import LABELS, PromptTemplate
from alphallm_env.lm.transformers_lm import TransformersLM
from alphallm_env.loading import TINY_POLICY, load_policy, resolve
from alphallm_env.options import option_rule
from alphallm_env.problems import load_problems
from experiments.critic_data import ProblemData, Sampler, collect, prefix_counts


@dataclass(frozen=True)
class CriticsConfig:
    """Settings of one training of critics."""

    out: Path
    policy: str = "tiny"
    problems: str = "gsm_symbolic"
    option_rule: str = "sentence"
    train_problems: int = 3_000
    development_problems: int = 200
    test_problems: int = 200
    samples: int = 8  # trajectories per problem
    min_visits: int = 4  # continuations behind every PRM label
    steps_per_problem: int = 4
    threshold: float = 0.25  # a step is good if at least this share of its continuations is
    temperature: float = 1.0
    max_tokens: int = 120
    epochs: int = 2
    batch_sequences: int = 64
    lr: float = 1e-3
    device: str = "auto"
    seed: int = 1


@dataclass(frozen=True)
class Example:
    """One training sequence. `label` is what the critic should write after it, None where only values are learnt.

    `values` maps lengths of the rendered text, in tokens, to value targets in [0, 1].
    """

    tokens: tuple[int, ...]
    label: int | None
    values: tuple[tuple[int, float], ...] = ()


def examples(
    data: Sequence[ProblemData], lm: TransformersLM, template: PromptTemplate, threshold: float
) -> Iterator[Example]:
    """Yields the ORM's and the value function's sequences, then the PRM's."""
    label_ids = [ids[0] for ids in lm.vocabulary.encode(LABELS)]
    for entry in data:
        counts = prefix_counts(entry.samples)
        for sample in dict.fromkeys(entry.samples):
            prompt = template.judge_outcome(sample.question, "".join(sample.steps))
            prefixes = [sample.steps[:length] for length in range(len(sample.steps) + 1)]
            states = lm.vocabulary.encode([template.solve(sample.question, "".join(p)) for p in prefixes])
            values = tuple(
                (len(state), counts[prefix][1] / counts[prefix][0])
                for state, prefix in zip(states, prefixes, strict=True)
            )
            tokens = lm.vocabulary.encode([prompt])[0]
            label = label_ids[0] if sample.correct else label_ids[1]
            whole = tuple(tokens[: len(states[-1])]) == tuple(states[-1])  # values share the ORM's forward pass
            yield Example(tuple(tokens), label, values if whole else ())
            if not whole:
                yield Example(tuple(states[-1]), None, values)
        for step in entry.steps:
            prompt = template.judge_step(step.question, "".join(step.before), step.step)
            label = label_ids[0] if step.share_correct >= threshold else label_ids[1]
            yield Example(tuple(lm.vocabulary.encode([prompt])[0]), label)


def loss_of(model: PreTrainedModel, head: torch.nn.Linear, batch: Sequence[Example], pad_id: int) -> torch.Tensor:
    """Returns cross-entropy on the labels plus squared error on the values, both means over the batch."""
    longest = max(len(example.tokens) for example in batch)
    ids = torch.full((len(batch), longest), pad_id)
    for row, example in enumerate(batch):
        ids[row, : len(example.tokens)] = torch.tensor(example.tokens)
    ids = ids.to(model.device)
    with torch.autocast(model.device.type, dtype=torch.bfloat16):
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    judged = [(row, len(e.tokens) - 1, e.label) for row, e in enumerate(batch) if e.label is not None]
    rows, ends, labels = (torch.tensor(column, device=ids.device) for column in zip(*judged, strict=True))
    output = cast(torch.nn.Linear, model.get_output_embeddings())
    loss = torch.nn.functional.cross_entropy(output(hidden[rows, ends].float()), labels)
    valued = [(row, length - 1, value) for row, e in enumerate(batch) for length, value in e.values]
    if valued:
        rows, ends, targets = (torch.tensor(column, device=ids.device) for column in zip(*valued, strict=True))
        estimates = head(hidden[rows, ends].float()).sigmoid()[:, 0]
        loss = loss + 4.0 * torch.nn.functional.mse_loss(estimates, targets.float())
    return loss


def train(lm: TransformersLM, head: torch.nn.Linear, data: list[Example], config: CriticsConfig) -> None:
    """Trains trunk and head on all examples, batches of like length, linear decay to zero."""
    model = lm.model.train()
    model.set_attn_implementation("eager")  # its backward pass is the faster one on short sequences
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=config.lr, betas=(0.9, 0.95))
    rng = Random(config.seed)
    steps = config.epochs * (len(data) // config.batch_sequences)
    done, start, losses = 0, time.monotonic(), [0.0]
    for _ in range(config.epochs):
        for batch in _batches(data, config.batch_sequences, rng):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * min(1.0, (done + 1) / 50) * max(0.0, 1.0 - done / steps)
            loss = loss_of(model, head, batch, lm.vocabulary.pad_id)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([*model.parameters(), *head.parameters()], 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            done += 1
            losses.append(loss.item())
            if done % 50 == 0:
                mean = sum(losses[-50:]) / 50
                print(f"step {done}/{steps}  loss {mean:.4f}  {time.monotonic() - start:.0f} s", flush=True)
    model.eval()
    model.set_attn_implementation("sdpa")


def _batches(data: list[Example], size: int, rng: Random) -> Iterator[list[Example]]:
    """Yields whole batches of like length in random order."""
    shuffled = rng.sample(data, len(data))
    pool = 32 * size
    for start in range(0, len(shuffled), pool):
        near = sorted(shuffled[start : start + pool], key=lambda example: len(example.tokens))
        batches = [near[i : i + size] for i in range(0, len(near), size)]
        yield from rng.sample([batch for batch in batches if len(batch) == size], len(near) // size)


@dataclass(frozen=True)
class Scored:
    """Scores of one critic with the outcomes they should foretell."""

    scores: list[float]
    outcomes: list[bool]

    def calibrated(self, scaling: PlattScaling) -> Scored:
        """Returns the scaled scores."""
        return Scored([scaling(score) for score in self.scores], self.outcomes)


def score_all(
    critic: CriticModel, template: PromptTemplate, data: Sequence[ProblemData], threshold: float
) -> dict[str, Scored]:
    """Returns the raw scores of value, PRM and ORM on held-out trajectories.

    The value function is scored at every prefix against the end of that trajectory.
    """
    samples = [sample for entry in data for sample in entry.samples]
    labeller = Labeller(critic)
    whole = [template.judge_outcome(s.question, "".join(s.steps)) for s in samples]
    prefixes = [
        (template.solve(s.question, "".join(s.steps[:length])), s.correct)
        for s in samples
        for length in range(len(s.steps) + 1)
    ]
    steps = [step for entry in data for step in entry.steps]
    judged = [template.judge_step(s.question, "".join(s.before), s.step) for s in steps]
    return {
        "value": Scored([e.value for e in critic.values([p for p, _ in prefixes])], [c for _, c in prefixes]),
        "prm": Scored(
            [share_of_true(a.probs) for a in labeller.judge(judged)],
            [s.share_correct >= threshold for s in steps],
        ),
        "orm": Scored([share_of_true(a.probs) for a in labeller.judge(whole)], [s.correct for s in samples]),
    }


def print_qualities(qualities: dict[str, Quality]) -> None:
    """Prints one row per critic."""
    table = Table(title="critics on held-out trajectories")
    for column in ("critic", "precision", "recall", "ECE", "AUC", "scores"):
        table.add_column(column, justify="left" if column == "critic" else "right")
    for name, q in qualities.items():
        table.add_row(name, f"{q.precision:.3f}", f"{q.recall:.3f}", f"{q.ece:.3f}", f"{q.auc:.3f}", str(q.num_scores))
    Console().print(table)


def main(config: CriticsConfig) -> dict[str, Quality]:
    """Collects, trains, calibrates, measures and writes the critics to `out/critics`."""
    torch.manual_seed(config.seed)
    policy = load_policy(config.policy, config.device)
    sampler = Sampler(policy, option_rule(config.option_rule), config.max_tokens, config.temperature, config.seed)
    sizes = {
        "train": config.train_problems,
        "development": config.development_problems,
        "test": config.test_problems,
    }
    data = {
        split: collect(
            sampler,
            load_problems(config.problems, split, size, seed=config.seed),
            config.out / f"{split}.jsonl",
            config.samples,
            config.min_visits,
            config.steps_per_problem,
        )
        for split, size in sizes.items()
    }
    lm = TransformersLM.load(resolve(config.policy, TINY_POLICY), config.device, "float32")
    head = torch.nn.Linear(lm.model.config.hidden_size, 1).to(lm.model.device)
    train(lm, head, list(examples(data["train"], lm, policy.template, config.threshold)), config)
    critic = CriticModel(lm.model, lm.tokenizer, "critics", head)
    return finish(critic, policy.template, data, config)


def finish(
    critic: CriticModel, template: PromptTemplate, data: dict[str, list[ProblemData]], config: CriticsConfig
) -> dict[str, Quality]:
    """Calibrates on the development split, measures on the test split, and writes everything."""
    development = score_all(critic, template, data["development"], config.threshold)
    scalings = {name: fit_platt(s.scores, [float(o) for o in s.outcomes]) for name, s in development.items()}
    test = score_all(critic, template, data["test"], config.threshold)
    qualities = {
        name: quality(scored.calibrated(scalings[name]).scores, scored.outcomes) for name, scored in test.items()
    }
    folder = config.out / "critics"
    folder.mkdir(parents=True, exist_ok=True)
    critic.model.bfloat16().save_pretrained(folder)
    critic.tokenizer.save_pretrained(folder)
    save_head(folder, critic.head.weight.detach().cpu(), critic.head.bias.detach().cpu())
    save_calibration(folder, scalings)
    report = {name: asdict(q) for name, q in qualities.items()}
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()}
    (config.out / "quality.json").write_text(json.dumps({"quality": report, "config": settings}, indent=2) + "\n")
    print_qualities(qualities)
    return qualities


if __name__ == "__main__":
    main(tyro.cli(CriticsConfig))
