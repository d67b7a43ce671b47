"""The bench of faults counts what it says: every kind is met, nothing is lost, and harm would show."""

import pytest

pytest.importorskip("openai", reason="needs the extra alphallm-env[server]")

from agents import PlanResult, TreeSearch
from experiments.bench.faults import ALL_DIE, DIES, survived_by_kind


@pytest.mark.parametrize("kind", ["500", "half", DIES, ALL_DIE])
def test_searches_survive(kind: str) -> None:
    (survival,) = survived_by_kind(num_problems=6, kinds=[kind]).values()
    assert survival.tried >= 1
    assert survival.survived == survival.tried
    assert survival.lost == 0
    assert survival.repeated_tokens == 0 or kind == ALL_DIE


def test_harm_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    run_async = TreeSearch.run_async
    searches: list[TreeSearch] = []

    async def forgetful(self: TreeSearch) -> PlanResult:
        """Miscounts the visits of an interrupted search when it is resumed."""
        if self in searches:
            self.root.visit_count += 1
        searches.append(self)
        return await run_async(self)

    monkeypatch.setattr(TreeSearch, "run_async", forgetful)
    (survival,) = survived_by_kind(num_problems=6, kinds=[ALL_DIE]).values()
    assert survival.survived < survival.tried
