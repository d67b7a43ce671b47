import pytest

from experiments.bench.returns import REPEATS, ReturnsConfig, main, ways


def test_ways_to_write_a_solution():
    found = ways("2 + 3 = 5\n#### 5")
    assert found["gold"] == ["2 + 3 = 5\n", "#### 5\n"]
    assert found["gold in half lines"] == ["2 + 3", " = 5\n", "###", "# 5\n"]
    assert found[f"first line {REPEATS} times, then gold"] == ["2 + 3 = 5\n"] * 9 + ["#### 5\n"]
    assert set(found["first line until the cut"]) == {"2 + 3 = 5\n"}


def test_the_default_reward_pays_neither_for_length_nor_for_cuts():
    found = main(ReturnsConfig(num_problems=2, max_tokens=100))
    for row in found["potential"]:
        assert row["first line until the cut"] == pytest.approx(0.0)
        assert row["gold in half lines"] == pytest.approx(row["gold"])
        assert all(-1e-9 <= value <= 1.0 for value in row.values())
    for row in found["critics"]:
        assert row["gold in half lines"] > row["gold"]
