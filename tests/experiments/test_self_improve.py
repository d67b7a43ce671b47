"""The whole loop on tiny settings: what it writes, and that a kill changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alphallm_env.loading import load_policy
from alphallm_env.problems.countdown import split_of
from alphallm_env.problems.countdown.game import require_game
from experiments import self_improve
from experiments.loop.config import PRESETS, SelfImproveConfig, smoke
from experiments.loop.plan import expected_costs

STAGES = ["before", "round1", "round2"]


def command(out: Path, preset: str = "tiny") -> list[str]:
    run = [sys.executable, "-m", "experiments.self_improve", "--preset", preset, "--smoke"]
    return [*run, "--threads", "1", "--out", str(out)]  # one thread, as other tests run beside it


def kill_at(moment: str, out: Path, preset: str = "tiny") -> None:
    """Runs the loop in `out` until a file or folder of that name is there, and kills it."""
    process = subprocess.Popen(command(out, preset), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (out / moment).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (out / moment).exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("runs") / "whole"
    done = subprocess.run(command(out), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return out, done.stdout


def test_a_run_leaves_everything_behind(finished: tuple[Path, str]) -> None:
    out, _ = finished
    results = json.loads((out / "results.json").read_text())
    assert set(results["critics"]) == {"value", "prm", "orm"}
    rows = results["rows"]
    greedy = [row["stage"] for row in rows if row["planner"] == "greedy" and row["split"] == "test"]
    assert greedy == STAGES
    searched = {(row["stage"], row["planner"]) for row in rows if row["num_problems"] == 4 and row["split"] == "test"}
    planners = ("majority", "orm_rerank", "eta_mcts_small", "eta_mcts_large")
    assert searched == {(stage, planner) for stage in ("before", "round2") for planner in planners}
    for row in rows:
        assert set(row) == {
            "stage", "planner", "accuracy", "ci95", "num_problems", "tokens_per_problem", "split",
            "round", "level", "tokens", "flops", "control", "computed",
        }  # fmt: skip
        assert row["ci95"][0] <= row["accuracy"] <= row["ci95"][1]
    assert (out / "checkpoints" / "round2" / "model.safetensors").is_file()
    assert list(out.glob("tensorboard/**/events*"))
    assert "data:image/png;base64," in (out / "report.html").read_text()
    assert (out / "revision.txt").read_text().strip()


def test_where_there_is_no_terminal_it_prints_a_line_a_stage_and_the_table(finished: tuple[Path, str]) -> None:
    _, printed = finished
    lines = printed.splitlines()
    assert lines[0].startswith("[ 0:00] self-improvement of tiny: 2 rounds of 8 imagined problems, into ")
    titles = list(expected_costs(smoke(PRESETS["tiny"])))
    assert titles[0] == "before: greedy on test"
    for number, title in enumerate(titles, 1):
        line = f"{number}/{len(titles)} {title}"
        assert any(found.endswith(line) for found in lines), line
        assert any(f"{line}: done in " in found for found in lines), line
    assert "self-improvement of tiny" in printed
    assert "\x1b" not in printed


def test_imagined_problems_have_no_answers_and_are_not_test_problems(finished: tuple[Path, str]) -> None:
    out, _ = finished
    tests = {json.loads(line)["problem"]["question"] for line in (out / "searches" / "before-test-greedy.jsonl").open()}
    for number in (1, 2):
        imagined = json.loads((out / "stages" / f"round{number}-imagined.json").read_text())["problems"]
        assert imagined
        assert all(problem["answer"] is None for problem in imagined)
        assert not tests & {problem["question"] for problem in imagined}


def test_the_policy_learns_by_preferences(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = [*command(out, "countdown"), "--rounds", "1", "--controls", "--imagined", "16", "--fine-tuner", "dpo"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Computing reference" not in done.stderr
    assert (out / "checkpoints" / "round1" / "model.safetensors").is_file()


def test_killed_and_started_again_it_ends_with_the_same_results(finished: tuple[Path, str], tmp_path: Path) -> None:
    whole, _ = finished
    out = tmp_path / "killed"
    for moment in ("searches/before-test-greedy.jsonl", "stages/round1-imagined.json", "checkpoints/round1"):
        kill_at(moment, out)
    subprocess.run(command(out), capture_output=True, timeout=300, check=True)
    assert (out / "results.json").read_text() == (whole / "results.json").read_text()


def test_presets_are_the_defaults_of_every_flag() -> None:
    config, out = self_improve.parse(["--preset", "tiny", "--out", "x", "--orm-threshold", "0.5", "--out", "y"])
    assert (config.search.orm_threshold, config.models.policy, out) == (0.5, "tiny", Path("y"))
    config, _ = self_improve.parse(["--preset=gsm8k", "--policy", "FOLDER", "--smoke", "--imagined", "5"])
    assert (config.imagination.imagined, config.fine_tuning.lr, config.rounds) == (5, 1e-5, 2)
    with pytest.raises(SystemExit, match="--preset must be one of"):
        self_improve.parse(["--preset", "huge"])
    with pytest.raises(SystemExit, match="needs --policy"):
        self_improve.parse(["--preset", "gsm8k"])


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="rounds must be >= 1, got 0"):
        SelfImproveConfig(rounds=0)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("runs") / "countdown"
    done = subprocess.run(command(out, "countdown"), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return out, done.stdout


def test_countdown_is_measured_by_level_and_round_beside_its_control(played: tuple[Path, str]) -> None:
    out, printed = played
    rows = json.loads((out / "results.json").read_text())["rows"]
    greedy = {(row["control"], row["round"], row["level"]) for row in rows if row["planner"] == "greedy"}
    levels = ("n=3", "n=4", "n=5")
    arms = [("", 0), *((arm, number) for arm in ("", "no_search", "no_lessons") for number in (1, 2))]
    assert greedy == {(*arm, level) for arm in arms for level in levels}
    searched = {(row["control"], row["round"], row["planner"]) for row in rows if row["planner"] != "greedy"}
    searchers = ("eta_mcts_plus", "checked_rerank")
    assert searched == {(*arm, planner) for arm in [("", 0), ("", 2)] for planner in searchers}
    size = load_policy("tiny_countdown").lm.size  # type: ignore[attr-defined]
    for row in rows:  # the verifier computes nothing: what is beyond the weights is attention to at most 120 tokens
        weights, attention = (2 * size.weights * row["computed"], 4 * size.attention * 120 * row["computed"])
        assert weights < row["flops"] < weights + attention
        assert row["computed"] > row["tokens"]
    gains = json.loads((out / "results.json").read_text())["gains"]
    assert {gain["over"] for gain in gains} == {"before", "no_search", "no_lessons", "checked_rerank"}
    assert "no search" in printed
    searches = {file.name for file in (out / "searches").glob("no_lessons-*")}
    assert searches == {f"no_lessons-round{n}-n{level}-greedy.jsonl" for n in (1, 2) for level in (3, 4, 5)}
    page = (out / "report.html").read_text()
    assert "Imagined questions" in page
    assert "Lessons of the last round" in page


def test_games_of_the_loop_are_never_those_of_the_test(played: tuple[Path, str]) -> None:
    out, _ = played
    for file in (out / "stages").glob("*-imagined.json"):
        problems = json.loads(file.read_text())["problems"]
        assert problems
        assert {split_of(require_game(problem["question"])) for problem in problems} == {"train"}
        assert all((problem["answer"], problem["verifier"]) == (None, "countdown") for problem in problems)


def test_countdown_killed_and_started_again_ends_with_the_same_results(
    played: tuple[Path, str], tmp_path: Path
) -> None:
    whole, _ = played
    out = tmp_path / "killed"
    for moment in ("checkpoints/round1", "stages/no_search-round1-imagined.json"):
        kill_at(moment, out, "countdown")
    subprocess.run(command(out, "countdown"), capture_output=True, timeout=300, check=True)
    assert (out / "results.json").read_text() == (whole / "results.json").read_text()
