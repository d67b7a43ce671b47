"""The ledger's picture: every token is in one bar, of its stage and purpose."""

from __future__ import annotations

import re

import pytest

from alphallm_env.runtime.metering import Usage, Work
from experiments.report.spending import bars_of, spending
from experiments.runs.ledger import LedgerKey


def test_tokens_are_counted_by_stage_purpose_and_role():
    ledger = {
        ("before", "n=3", "greedy"): Usage(policy=Work(generated=10, prefilled=5, saved=99)),
        ("before", "n=4", "uct"): Usage(policy=Work(20), rollout=Work(7), critic=Work(0, 3)),
        ("round1", "imagined", "uct"): Usage(policy=Work(40)),
    }
    assert bars_of(ledger, {"round1": 8}) == {
        ("before", "evaluation"): {"policy": 35, "rollout": 7, "critic": 3},
        ("round1", "imagination"): {"policy": 8, "rollout": 0, "critic": 0},
        ("round1", "search of questions"): {"policy": 40, "rollout": 0, "critic": 0},
    }


def test_widths_are_shares_of_the_longest_bar():
    page = spending({("before", "a", "uct"): Usage(policy=Work(30), critic=Work(10)),
                     ("round1", "a", "uct"): Usage(policy=Work(20))}, {})  # fmt: skip
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="16"', page)]
    assert widths == [420.0, 0.0, 140.0, 280.0, 0.0, 0.0]  # of 560


@pytest.mark.parametrize(("rounds", "bars"), [(18, 1 + 2 * 18 - 1), (30, 3)])
def test_many_rounds_are_added_up(rounds: int, bars: int):
    ledger: dict[LedgerKey, Usage] = {("before", "a", "greedy"): Usage(policy=Work(1))}
    for number in range(1, rounds + 1):
        ledger[f"round{number}", "imagined", "uct"] = Usage(policy=Work(1_000))
        if number > 1 or rounds == 30:
            ledger[f"round{number}", "a", "greedy"] = Usage(policy=Work(10))
    page = spending(ledger, {})
    assert page.count('text-anchor="end"') == bars
    if rounds == 30:
        assert "all rounds: search of questions, policy: 30,000 tokens" in page
        assert "all rounds: evaluation, policy: 300 tokens" in page


def test_nothing_is_drawn_where_nothing_was_counted():
    assert spending({}, {}) == ""
    assert spending({("before", "a", "given"): Usage()}, {}) == ""
