"""What a run shows: how full the engine keeps its models, and what searches cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import eta_mcts
from agents.base import Budget
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.problems import gsm_symbolic
from alphallm_env.runtime.engine import Engine
from experiments.runs.ledger import total
from experiments.runs.monitor import Monitor
from experiments.runs.results import round_of
from experiments.runs.searching import run_searches


def scalars(folder: Path) -> dict[str, tuple[int, float]]:
    """Returns the step and value of each tag that was written once."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: (last.step, last.value) for tag in events.Tags()["scalars"] for last in events.Scalars(tag)}


def test_the_engines_load_and_the_ledger_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    monitor = Monitor(tmp_path)
    with Engine() as engine:
        rules = Rules(SentenceRule(), max_tokens=80)
        simulator = build_simulator(load_policy("tiny", "cpu"), "tiny", rules, engine, "cpu")
        problems = gsm_symbolic.problems("test", 4)
        with monitor.progress("round2: eta_mcts on test", 4, engine, round_of("round2")) as progress:
            records = run_searches(eta_mcts(), simulator, problems, Budget(tokens=300), 0, 4, progress=progress)
        statistics = engine.statistics
    monitor.ledger("test/eta_mcts", total(records), 2)
    monitor.close()
    found = scalars(tmp_path)
    load = {name: found[f"engine/eta_mcts_on_test/{name}"] for name in ("texts_a_step", "items_a_batch", "queue")}
    assert load["texts_a_step"] == (2, pytest.approx(statistics.items_stepped / statistics.steps))
    assert load["items_a_batch"] == (2, pytest.approx(statistics.items / statistics.batches))
    assert load["queue"] == (2, 0.0)
    assert 0 < found["engine/eta_mcts_on_test/model_share"][1] <= 1
    usage = total(records)
    assert usage.critic.prefilled > 0
    assert found["ledger/test/eta_mcts/critic/prefilled"] == (2, usage.critic.prefilled)
    assert found["ledger/test/eta_mcts/rejected_tokens"] == (2, usage.rejected_tokens)
    assert "round2: eta_mcts on test: done in" in capsys.readouterr().out


def test_stages_are_numbered():
    assert [round_of(stage) for stage in ("before", "round1", "no_search-round12")] == [0, 1, 12]
