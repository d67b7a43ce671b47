"""The way of an option, counted on the tiny policy."""

from experiments.bench import option_path


def test_every_segment_of_the_way_is_found(capsys):
    option_path.main()
    lines = capsys.readouterr().out.splitlines()
    totals = [line for line in lines if not line.startswith(" ")]
    assert [line.split(":")[0] for line in totals] == ["greedy", "eta_mcts"]
    assert lines.count("  caller") == lines.count("  search") == lines.count("  model") == 2
    assert "    agents.base.AsyncPlanner.plan" in lines
    assert sum(line.endswith("Engine.submit") for line in lines) == 2
    assert sum(line.endswith("Decoder.join") for line in lines) == 2
