"""The searches whose bookkeeping is measured do what their names say."""

from __future__ import annotations

import pytest

from agents.tree.node import walk
from experiments.bench.bookkeeping import PARTS, whole_search


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_what_its_name_says(part: str):
    result, seconds = whole_search(part, 60)
    assert seconds > 0
    assert result.usage.simulations >= 60
    assert result.usage.policy_tokens > 0
    assert (result.usage.rollout_tokens > 0) == (part in ("rollouts", "all"))
    assert result.root is not None
    nodes = list(walk(result.root))
    assert all((node.prm is not None) == (part in ("critics", "all")) for node in nodes[1:] if not node.is_terminal)
    assert any(len(node.members) > 1 for node in nodes) == (part in ("merge", "all"))
