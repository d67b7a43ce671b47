"""The comparison of planners over cost: its real command on a few games, and what it leaves behind."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import alphallm_env.lm.shipped
from experiments import per_token
from experiments.per_token import PerTokenConfig


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> PerTokenConfig:
    return PerTokenConfig(
        problems=("countdown:3", "gsm_symbolic"), limit=4, trees=("eta_mcts",),
        others=("orm_rerank", "checked_majority"), multiples=(4, 8), threads=1,
        out=tmp_path_factory.mktemp("runs") / "per-token",
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(config: PerTokenConfig):
    return per_token.main(config)


def test_every_planner_has_a_row_at_every_budget(config: PerTokenConfig, results):
    planners = ("eta_mcts", "orm_rerank", "checked_majority")
    expected = {(problems, planner, n) for problems in config.problems for planner in planners for n in (4, 8)}
    expected |= {(problems, "greedy", 0) for problems in config.problems}
    assert {(row["problems"], row["planner"], row["multiple"]) for row in results["rows"]} == expected
    for row in results["rows"]:
        assert row["ci95"][0] <= row["accuracy"] <= row["ci95"][1]
        assert row["accuracy"] <= row["pass_at_k"]
        assert row["generated"] <= row["tokens"]
        assert row["generated"] <= row["computed"] < row["flops"]
        assert row["num_problems"] == 4
    trees = [row for row in results["rows"] if row["is_tree"]]
    assert {row["planner"] for row in trees} == {"eta_mcts"}
    assert all(row["depth"] >= 1 for row in trees)


def test_budgets_are_given_as_such(config: PerTokenConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = replace(config, problems=("countdown:3",), limit=2, axis="tokens", budgets=(60, 200), out=tmp_path)
    rows = per_token.main(given)["rows"]
    assert {row["budget"] for row in rows} == {0, 60, 200}
    greedy = next(row for row in rows if row["planner"] == "greedy")
    for row in rows:
        assert row["multiple"] == pytest.approx(row["budget"] / greedy["tokens"], abs=0.01)
    table = capsys.readouterr().out.partition("accuracy by budget of tokens")[2]
    assert "greedy" in table
    assert "200" in table
    assert "×" not in table


def test_a_search_that_found_a_solution_leaves_its_budget_to_others(config: PerTokenConfig, results, tmp_path: Path):
    early = per_token.main(replace(config, problems=("countdown:3",), stop_at=1.0, out=tmp_path))["rows"]

    def of(rows: list[dict[str, Any]], multiple: int) -> dict[str, dict[str, Any]]:
        found = [row for row in rows if (row["problems"], row["multiple"]) == ("countdown:3", multiple)]
        return {row["planner"]: row for row in found}

    whole, stopped = of(results["rows"], 8), of(early, 8)
    assert whole.keys() == stopped.keys()
    for planner in ("eta_mcts", "orm_rerank"):
        assert stopped[planner]["flops"] < whole[planner]["flops"]
        assert stopped[planner]["accuracy"] == whole[planner]["accuracy"]


def test_the_tree_stands_beside_the_best_other_on_each_axis(config: PerTokenConfig, results):
    for name, value in (("error_ratio", "ratio"), ("cost_factor", "factor")):
        places = {(entry["problems"], entry["axis"], entry["budget"]) for entry in results[name]}
        assert len(places) == len(results[name]) == 2 * 4 * 2
        assert all({"tree", "ci95", value} <= entry.keys() for entry in results[name])
    assert all(entry["non_tree"] in config.others for entry in results["error_ratio"])


def test_the_same_command_reads_back_what_is_there(config: PerTokenConfig, results):
    assert per_token.main(config) == results
    assert json.loads((config.out / "results.json").read_text()) == results
    rows = list(csv.DictReader((config.out / "rows.csv").open()))
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in results["rows"]]
    page = (config.out / "report.html").read_text()
    assert "://" not in page
    assert "eta_mcts" in page


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"trees": ()}, "at least one tree and one other planner"),
        ({"multiples": (0, 4)}, r"multiples must be >= 1, got \(0, 4\)"),
        ({"budgets": (0, 4)}, r"budgets must be >= 1, got \(0, 4\)"),
        ({"budgets": (8, 4)}, r"budgets must rise, as curves do, got \(8, 4\)"),
        ({"multiples": (8, 4)}, r"multiples must rise, as curves do, got \(8, 4\)"),
        ({"repeats": 0}, "repeats must be >= 1, got 0"),
        ({"processes": 0}, "processes must be >= 1, got 0"),
        ({"reference": "uct"}, "reference must be among eta_mcts, .*, got 'uct'"),
    ],
)
def test_settings_that_compare_nothing_are_refused(settings: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        PerTokenConfig(**settings)


def test_a_planner_that_does_not_exist_is_an_error_before_anything_is_written(tmp_path: Path):
    config = PerTokenConfig(problems=("countdown:3",), trees=("eta_mcts,checks=false,width=3",), out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"settings must be among .*got width"):
        per_token.main(config)
    assert not (tmp_path / "run").exists()


def test_processes_find_what_one_finds_and_repeats_count_as_shares(tmp_path: Path):
    folder = str(Path(alphallm_env.lm.shipped.resolve("tiny_countdown")))
    config = PerTokenConfig(
        problems=("countdown:3",), policy=("tiny_countdown", folder), limit=3, trees=("eta_mcts,checks=true",),
        others=("orm_rerank",), reference="orm_rerank", multiples=(4,), repeats=2, threads=1, out=tmp_path / "one",
    )  # fmt: skip
    one = per_token.main(config)
    two = per_token.main(replace(config, processes=2, out=tmp_path / "two"))

    def without_time(results: dict[str, Any]) -> dict[str, Any]:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in results["rows"]]
        return {**results, "rows": rows}

    assert without_time(one) == without_time(two)
    places = {row["problems"] for row in one["rows"]}
    assert places == {"countdown:3, tiny_countdown", f"countdown:3, {folder}"}
    by_policy = [[row["accuracy"] for row in one["rows"] if row["problems"] == place] for place in sorted(places)]
    assert by_policy[0] == by_policy[1]  # one policy by two names
    assert all((row["accuracy"] * 3 * 2) % 1 == pytest.approx(0, abs=1e-3) for row in one["rows"])
    assert {entry["planner"] for entry in one["differences"]} == {"eta_mcts,checks=true"}
    for entry in one["differences"]:
        mine, reference = (
            next(
                row["accuracy"]
                for row in one["rows"]
                if (row["problems"], row["planner"]) == (entry["problems"], planner) and row["multiple"]
            )
            for planner in (entry["planner"], "orm_rerank")
        )
        assert entry["difference"] == pytest.approx(mine - reference, abs=2e-4)
        assert entry["ci95"][0] <= entry["difference"] <= entry["ci95"][1]


def test_a_set_without_a_shipped_policy_needs_one(tmp_path: Path):
    with pytest.raises(SystemExit, match="--problems gsm8k needs --policy"):
        per_token.main(PerTokenConfig(problems=("countdown:3", "gsm8k"), out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
