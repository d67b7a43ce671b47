import pytest

from agents.presets import PRESETS, preset_family


@pytest.mark.parametrize(
    ("preset", "c", "c_min_root", "c_min"),
    [
        ("gsm8k_small", 1.0, 10, 2),
        ("gsm8k_large", 1.5, 40, 2),
        ("math_small", 1.0, 10, 3),
        ("math_large", 1.0, 20, 3),
    ],
)
def test_the_papers_table(preset: str, c: float, c_min_root: int, c_min: int):
    config = PRESETS[preset]
    width, scoring = config.width, config.scoring
    assert (config.descent.c, width.alpha) == (c, 1.0)
    assert (width.c_min_root, width.c_min, width.c_max_root, width.c_max) == (c_min_root, c_min, 60, 10)
    assert (config.sampling.depth_limit, scoring.num_rollouts) == (10, 4)
    assert (scoring.beta_value, scoring.beta_prm, scoring.beta_orm) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("problems", "family"),
    [
        ("gsm_symbolic", "tiny"),
        ("gsm_symbolic:full", "tiny"),
        ("gsm8k", "gsm8k"),
        ("data/GSM8K_hard.jsonl", "gsm8k"),
        ("openai/gsm8k", "gsm8k"),
        ("math", "math"),
        ("runs/gsm8k/mine.jsonl", "tiny"),  # the folder does not count
        ("mine.jsonl", "tiny"),
    ],
)
def test_problem_sets_have_their_presets(problems: str, family: str):
    assert preset_family(problems) == family
    assert {f"{family}_small", f"{family}_large"} <= PRESETS.keys()
