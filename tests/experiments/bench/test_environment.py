import json

from experiments.bench import environment


def test_it_measures_prints_and_writes(tmp_path, capsys):
    path = tmp_path / "figures.json"
    config = environment.BenchConfig(json=path, num_envs=(2,), min_steps=2, min_rounds=1, repeats=1)
    figures = environment.main(config)
    assert json.loads(path.read_text()) == figures
    assert all(figure > 0 for figure in figures.values())
    assert {f"clone_restore_us_{depth}" for depth in (1, 10, 100)} < figures.keys()
    assert {"choice_speedup_2", "text_speedup_2", "choice_scripted_steps_per_second"} < figures.keys()
    assert "choice_speedup_2" in capsys.readouterr().out
