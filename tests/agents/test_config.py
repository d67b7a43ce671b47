import json

import pytest

from agents.config import MCTSConfig
from agents.presets import PRESETS
from agents.tree.backup import max_return
from agents.tree.halving import Gumbel
from agents.tree.merging import MERGE_RULES, CosineSimilarity, EditDistance, MergeMode
from agents.tree.selection import Candidates, puct, uct


def fewest_visits(candidates: Candidates, c: float) -> list[float]:
    return [-float(visits) for visits in candidates.visits]


def test_a_setting_finds_its_group():
    config = MCTSConfig().with_settings(
        c=2.0, gamma=0.5, alpha=0.0, c_min=1, merge_tries=7, expansion_batch=3, num_rollouts=0, leaves_in_flight=4
    )
    assert (config.descent.c, config.descent.gamma) == (2.0, 0.5)
    assert (config.width.alpha, config.width.c_min) == (0.0, 1)
    assert (config.sampling.merge_tries, config.sampling.expansion_batch) == (7, 3)
    assert (config.scoring.num_rollouts, config.leaves_in_flight) == (0, 4)
    assert config.descent.selection is uct  # the others stay


def test_rules_can_be_named():
    config = MCTSConfig().with_settings(
        selection="puct", merge_rule="cosine", merge_mode="reject", root_selection="gumbel", backup="max"
    )
    assert (config.descent.selection, config.descent.backup) == (puct, max_return)
    assert config.descent.root_selection == Gumbel()
    assert (config.sampling.merge_rule, config.sampling.merge_mode) == (CosineSimilarity(0.7), MergeMode.REJECT)
    assert config.with_settings(merge_rule="none").sampling.merge_rule is None
    assert config.with_settings(merge_rule="distance:7").sampling.merge_rule == EditDistance(7)


def test_a_rule_can_be_a_module_attribute():
    merge = MCTSConfig().with_settings(merge_rule="agents.tree.merging:SameMathematics").sampling.merge_rule
    assert merge == MERGE_RULES.resolve("mathematics")
    assert MCTSConfig().with_settings(selection="agents.tree.selection:puct").descent.selection is puct


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"breadth": 3}, r"settings must be among alpha, .*c_min, .*widens, got breadth"),
        ({"selection": "best"}, "selection must be one of uct, puct, module:attribute, got 'best'"),
        ({"merge_mode": "join"}, "merge_mode must be one of reject, merge, got 'join'"),
        ({"c": "big"}, "c must be one of no names, but a number, got 'big'"),
        ({"c": -1.0}, "c must be >= 0"),
        ({"gamma": 1.5}, "gamma must be in"),
    ],
)
def test_a_wrong_setting_is_an_error(settings: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        MCTSConfig().with_settings(**settings)


@pytest.mark.parametrize(
    "setting", ["leaves_in_flight", "expansion_batch", "max_simulations", "depth_limit", "merge_tries"]
)
def test_settings_are_validated(setting: str):
    with pytest.raises(ValueError, match=setting):
        MCTSConfig().with_settings(**{setting: 0})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_record_is_flat_json_from_which_the_settings_come_back(preset: str):
    record = json.loads(json.dumps(PRESETS[preset].record()))
    assert (record["selection"], record["root_selection"]) == ("uct", "none")
    assert record["merge_rule"] in MERGE_RULES
    assert MCTSConfig().with_settings(**record) == PRESETS[preset]


def test_a_rule_of_ones_own_is_recorded_by_its_place():
    assert MCTSConfig().with_settings(selection=fewest_visits).record()["selection"] == f"{__name__}:fewest_visits"
    assert MCTSConfig().with_settings(merge_rule=EditDistance(7)).record()["merge_rule"] == "EditDistance(limit=7)"
