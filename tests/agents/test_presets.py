import json

import pytest

from agents.presets import PRESETS, MCTSConfig, resolved
from agents.tree.merging import MERGE_RULES, MergeMode
from agents.tree.selection import Gumbel, puct_rule


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
    assert (config.c, config.alpha) == (c, 1.0)
    assert (config.c_min_root, config.c_min, config.c_max_root, config.c_max) == (c_min_root, c_min, 60, 10)
    assert (config.depth_limit, config.num_rollouts) == (10, 4)
    assert (config.beta_value, config.beta_prm, config.beta_orm) == (1.0, 1.0, 1.0)


def test_rules_can_be_named():
    names = {"selection": "puct", "merge_rule": "cosine", "merge_mode": "reject", "root_selection": "gumbel"}
    config = resolved(MCTSConfig(), names)
    assert config.selection is puct_rule
    assert (config.merge_rule, config.merge_mode) == (MERGE_RULES["cosine"], MergeMode.REJECT)
    assert config.root_selection == Gumbel()
    assert resolved(config, {"merge_rule": "none"}).merge_rule is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [({"width": 3}, "settings must be among"), ({"selection": "best"}, "selection must be one of uct, puct")],
)
def test_an_unknown_setting_or_name_is_an_error(overrides: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        resolved(MCTSConfig(), overrides)


@pytest.mark.parametrize("setting", ["leaves_in_flight", "expansion_batch", "max_simulations", "depth_limit"])
def test_settings_are_validated(setting: str):
    with pytest.raises(ValueError, match=setting):
        resolved(MCTSConfig(), {setting: 0})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_record_is_json_and_names_its_rules(preset: str):
    record = json.loads(json.dumps(PRESETS[preset].record()))
    assert record["selection"] == "uct"
    assert record["answer_rule"] in ("orm_rerank", "best_leaf", "greedy_descent", "weighted_vote")
    assert record["merge_rule"] in MERGE_RULES


def test_a_rule_of_ones_own_is_recorded_by_its_name():
    def fewest_visits(child, c):
        return -child.visits

    assert "fewest_visits" in str(MCTSConfig(selection=fewest_visits).record()["selection"])
