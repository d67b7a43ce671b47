"""The comparison of planners, from its command's settings to its table."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import re
import sys
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from alphallm_env.errors import RunError
from alphallm_env.runtime.files import Journal
from experiments import evaluate
from experiments.evaluate import EvaluateConfig
from experiments.runs import searching
from experiments.runs.search_records import SearchRecord
from experiments.runs.settings import changed, settings_of

BUDGET = 300
TINY = changed(EvaluateConfig(), budget=BUDGET, limit=4, device="cpu")
LUCKY = '''
"""A planner that uses three calls of the environment, and nothing else of it."""

import agents
from alphallm_env import Trajectory


class Lucky(agents.Planner):
    """Plays ten random episodes from here and keeps the best."""

    budgets = []

    def plan(self, env, budget, rng):
        self.budgets.append(budget)
        world = env.unwrapped
        start = world.clone_state()
        episodes = [self.play(env, start, rng) for _ in range(10)]
        world.restore_state(start)
        best = max(episodes, key=lambda episode: episode.score)
        return agents.PlanResult(start, best, tuple(episodes), agents.Usage(simulations=10))

    def play(self, env, start, rng):
        env.unwrapped.restore_state(start)
        reward, over = 0.0, False
        while not over:
            line = f"#### {rng.integers(10)}\\n" if rng.random() < 0.5 else "so\\n"
            _, reward, terminated, truncated, info = env.step(line)
            assert info["verdict"] in ("", "no_gold")
            over = terminated or truncated
        return Trajectory(env.unwrapped.clone_state(), reward)
'''


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "lucky_planner.py").write_text(LUCKY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "lucky_planner", raising=False)
    importlib.invalidate_caches()
    return "lucky_planner"


def journal(out: Path, planner: str) -> list[SearchRecord]:
    return Journal(out / "searches" / f"{planner}.jsonl", SearchRecord.to_json, SearchRecord.from_json).read()


def test_planners_are_compared_with_the_baselines_at_one_budget(
    user_module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    rows = evaluate.main(changed(TINY, planner=("eta_mcts", f"{user_module}:Lucky"), out=out))
    names = ["greedy", "majority", "orm_rerank", "eta_mcts", f"{user_module}:Lucky"]
    assert [row.planner for row in rows] == names
    assert {row.num_problems for row in rows} == {4}
    assert {budget.tokens for budget in importlib.import_module(user_module).Lucky.budgets} == {BUDGET}
    for planner in ("majority", "orm_rerank", "eta_mcts"):
        for record in journal(out, planner):
            assert record.usage.tokens < BUDGET + 1_000  # the last step may overrun it: four samples, judged
            assert record.usage.tokens >= BUDGET or planner == "eta_mcts"  # which may know all there is
    for record in journal(out, f"{user_module}_Lucky"):
        assert record.usage.policy_tokens == 0
        assert record.usage.critic_tokens > 0  # its rewards are critics' scores, measured here
    written = json.loads((out / "results.json").read_text())["rows"]
    assert written == [json.loads(json.dumps(row.to_json())) for row in rows]
    assert "lucky_planner:Lucky" in capsys.readouterr().out


def test_a_finished_run_is_read_back_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = changed(TINY, planner=("majority",), baselines=False)
    rows = evaluate.main(changed(config, out=tmp_path / "run"))
    (tmp_path / "run").rename(tmp_path / "moved")

    def search_nothing(planner: object, simulator: object, problems: Sequence[object], *_: object, **__: object):
        assert not problems, "searched twice"
        return iter(())

    monkeypatch.setattr(searching, "run_unordered", search_nothing)
    assert evaluate.main(changed(config, out=tmp_path / "moved")) == rows
    with pytest.raises(RunError, match="budget: 300 there, 301 now"):
        evaluate.main(changed(TINY, planner=("majority",), baselines=False, budget=301, out=tmp_path / "moved"))


def test_a_run_that_was_stopped_ends_with_the_same_results(tmp_path: Path):
    config = changed(TINY, planner=("eta_mcts_small",), baselines=False, concurrency=2, out=tmp_path)
    rows = evaluate.main(config)
    file = tmp_path / "searches" / "eta_mcts_small.jsonl"
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3])[:-9])  # killed while it wrote its third line
    assert evaluate.main(config) == rows
    assert file.read_bytes().startswith(b"".join(lines[:2]))  # what was finished is not searched again
    assert found_in(file.read_bytes()) == found_in(whole, about=True)


def found_in(journal: bytes, *, about: bool = False) -> dict[str, object]:
    """Returns a journal's records by problem, without seconds and what was cached; numbers are `about` their values.

    Other searches in the same batches change the last bits of scores.
    """

    def alike(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return {key: value for key, value in pairs if not key.endswith("seconds") and key not in ("prefilled", "saved")}

    def number(text: str) -> object:
        return pytest.approx(float(text), abs=1e-3) if about else float(text)

    records = [json.loads(line, object_pairs_hook=alike, parse_float=number) for line in journal.splitlines()]
    return {record["problem"]["id"]: record for record in records}


def test_killed_at_any_moments_the_same_command_ends_with_the_same_searches(tmp_path: Path):
    planners = ("eta_mcts_small", "majority")
    config = changed(TINY, planner=planners, baselines=False, limit=12, concurrency=3)
    whole, out = tmp_path / "whole", tmp_path / "killed"

    def started(folder: Path) -> BaseProcess:
        process = multiprocessing.get_context("fork").Process(target=evaluate.main, args=(changed(config, out=folder),))
        process.start()
        return process

    def finished() -> list[bytes]:
        lines = [line for file in out.glob("searches/*.jsonl") for line in file.read_bytes().splitlines(True)]
        return [line for line in lines if line.endswith(b"\n")]

    evaluate.main(changed(config, out=whole))
    kept: list[bytes] = []
    for number in (1, 4, 9, 15, 19):  # killed once so many searches are finished
        process = started(out)
        while process.is_alive() and len(finished()) < number:
            time.sleep(0.001)
        process.kill()
        process.join()
        assert set(kept) <= set(finished())  # nothing is lost
        kept = finished()
        assert len(kept) >= number
    process = started(out)
    process.join()
    assert process.exitcode == 0
    assert set(kept) <= set(finished())
    assert len(finished()) == 24  # nothing is done twice
    for name in planners:
        journals = [(folder / "searches" / f"{name}.jsonl").read_bytes() for folder in (out, whole)]
        assert found_in(journals[0]) == found_in(journals[1], about=True)
    assert (out / "results.json").read_text() == (whole / "results.json").read_text()


def test_a_run_keeps_the_ledger_of_each_row(tmp_path: Path):
    evaluate.main(changed(TINY, planner=("eta_mcts_small",), baselines=False, out=tmp_path))
    [row] = json.loads((tmp_path / "ledger.json").read_text())["rows"]
    searches = journal(tmp_path, "eta_mcts_small")
    assert (row["planner"], row["searches"]) == ("eta_mcts_small", len(searches))
    for role in ("policy", "rollout", "critic"):
        for what in ("generated", "prefilled", "saved", "model_seconds", "waiting_seconds"):
            assert row[role][what] == pytest.approx(sum(getattr(getattr(s.usage, role), what) for s in searches))
            assert row[role][what] > 0
    assert row["policy"]["generated"] == row["policy_tokens"]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["is_reproducible"] is True
    assert [critic["critic"] for critic in results["critics"].values()] == ["value", "prm", "orm"]
    assert all(critic["revision"].startswith("sha256:") for critic in results["critics"].values())


def test_problems_that_changed_are_refused(tmp_path: Path):
    problems = tmp_path / "problems.jsonl"
    problems.write_text('{"id": "a", "question": "How much is 1 + 1?", "answer": "2"}\n')
    config = changed(TINY, planner=("greedy",), baselines=False, problems=str(problems), out=tmp_path / "run")
    evaluate.main(config)
    problems.write_text('{"id": "a", "question": "How much is 1 + 2?", "answer": "3"}\n')
    with pytest.raises(
        RunError, match=r"'a' was searched as 'How much is 1 \+ 1\?', and now is 'How much is 1 \+ 2\?'"
    ):
        evaluate.main(config)
    problems.write_text('{"id": "b", "question": "How much is 1 + 1?", "answer": "2"}\n')
    with pytest.raises(RunError, match="and now is no problem of this id"):
        evaluate.main(config)


def test_a_planner_is_evaluated_once_and_a_baseline_can_be_asked_for_alone():
    rows = evaluate.main(changed(TINY, limit=1, planner=("greedy", "greedy"), baselines=False))
    assert [row.planner for row in rows] == ["greedy"]


def test_an_unknown_planner_is_named_before_anything_runs(tmp_path: Path):
    with pytest.raises(ValueError, match="got 'astar'"):
        evaluate.main(changed(TINY, planner=("astar",), out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_rules_of_the_tree_are_chosen_by_name():
    uct, puct = (
        evaluate.main(changed(TINY, planner=("eta_mcts",), baselines=False, selection=rule, limit=2))
        for rule in ("uct", "puct")
    )
    assert [row.planner for row in (*uct, *puct)] == ["eta_mcts", "eta_mcts"]
    with pytest.raises(ValueError, match=r"selection must be one of .*puct.*, got 'best'"):
        evaluate.main(changed(TINY, planner=("eta_mcts",), selection="best"))
    with pytest.raises(ValueError, match="got planners greedy without one"):
        evaluate.main(changed(TINY, planner=("greedy",), baselines=False, merge_rule="none"))


def test_the_help_lists_what_is_registered(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        settings_of(EvaluateConfig, ["--help"])
    printed = capsys.readouterr().out
    for name in ("eta_mcts_large", "puct", "mathematics", "gsm8k", "regex:…", "qwen_prm:…", "vllm"):
        assert name in printed
    assert " ".join(printed.replace("│", " ").split()).count("module:attribute") == 7  # one a registry


def test_the_help_has_its_flags_under_headings(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        settings_of(EvaluateConfig, ["--help"])
    printed = capsys.readouterr().out
    for shown in ("planning options", "models options", "--rollout-policy", "--no-baselines"):
        assert shown in printed
    config = settings_of(EvaluateConfig, ["--limit", "7", "--policy", "FOLDER", "--no-baselines"])
    assert (config.problems.limit, config.models.policy, config.planning.names) == (7, "FOLDER", ("eta_mcts",))


def test_trees_are_kept_as_pages_of_the_first_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = changed(TINY, planner=("eta_mcts_small", "eta_mcts,c=0.5"), baselines=False, limit=3)
    plain = evaluate.main(changed(config, out=tmp_path / "plain"))
    out = tmp_path / "run"
    assert evaluate.main(changed(config, trees=2, out=out)) == plain  # a trace changes no result
    pages = sorted(str(page.relative_to(out)) for page in (out / "trees").rglob("*.html"))
    assert len(pages) == 1 + 2 * 2
    index = (out / "trees" / "index.html").read_text()
    links = re.findall(r'href="([^"]+)"', index)
    assert sorted(links) == [page.removeprefix("trees/") for page in pages if page != "trees/index.html"]
    assert '"waves":[[1,' in (out / "trees" / links[0]).read_text()
    assert f"4 trees in {out / 'trees' / 'index.html'}" in capsys.readouterr().out
    assert evaluate.main(changed(config, out=out)) == plain  # the number of pages is no setting of the run
    with pytest.raises(ValueError, match="--trees must be >= 0 and needs a folder, --out, got 2 and None"):
        evaluate.main(changed(config, trees=2))
