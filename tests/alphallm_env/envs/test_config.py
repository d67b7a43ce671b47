import inspect
import json
from dataclasses import asdict, fields

import gymnasium as gym
import pytest

from alphallm_env import MathReasoningEnv, OptionChoiceEnv, ProblemError
from alphallm_env.envs.choice.config import ChoiceConfig
from alphallm_env.envs.config import EnvConfig
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import RegexRule, SentenceRule
from alphallm_env.mdp.rewards import VerifierReward

BOTH = pytest.mark.parametrize(("kind", "config"), [(MathReasoningEnv, EnvConfig), (OptionChoiceEnv, ChoiceConfig)])


@BOTH
def test_an_environment_shows_the_keywords_of_its_config(kind, config):
    shown = inspect.signature(kind.__init__).parameters
    assert list(shown) == ["self", *(field.name for field in fields(config))]
    assert {name: shown[name].default for name in asdict(config())} == asdict(config())
    assert [name for name, p in shown.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == [
        "self", "problems", "split", "limit",
    ]  # fmt: skip


@BOTH
def test_a_config_is_json(kind, config):
    assert config(**json.loads(json.dumps(asdict(config())))) == config()


@BOTH
def test_an_unknown_keyword_is_answered_with_the_right_ones(kind, config):
    with pytest.raises(TypeError, match=r"among problems, split, limit, policy, critics, .*render_mode.*, got critic$"):
        kind(critic="tiny")
    with pytest.raises(TypeError, match="got critic was raised"):
        gym.make(f"AlphaLLM/GSMSymbolic{'Choice' if kind is OptionChoiceEnv else ''}-v1", critic="tiny")


def test_keywords_that_name_what_is_given_are_refused(make_simulator, make_choice, problems):
    with pytest.raises(TypeError, match=r"among reward, render_mode, got policy, max_tokens$"):
        MathReasoningEnv.from_parts(make_simulator(), problems, policy="tiny", max_tokens=9)
    with pytest.raises(TypeError, match=r"among reward, render_mode, num_options, .*embedding, got gamma$"):
        make_choice(gamma=0.5)


def test_the_rules_are_those_of_the_keywords():
    config = EnvConfig(
        option_rule="regex:;", max_options=2, max_tokens=3, max_option_tokens=4, gamma=0.5, discount_per_token=True
    )
    assert config.rules() == Rules(RegexRule(";"), 2, 3, 4, 0.5, discount_per_token=True)


def test_a_reward_is_a_name_or_a_function():
    assert EnvConfig(reward="verifier").reward_function() == VerifierReward()
    function = VerifierReward()
    assert EnvConfig(reward=function).reward_function() is function


def test_what_is_no_reward_is_answered_with_the_right_names():
    assert EnvConfig(reward=VerifierReward).reward_function() == VerifierReward()  # a class makes one, as by its name
    for wrong in (3, None, {"critics": []}):  # the last is what JSON leaves of a function
        with pytest.raises(
            TypeError, match=r"one of potential, critics, verifier, .*expected a RewardFunction with critics"
        ):
            EnvConfig(reward=wrong).reward_function()


@pytest.mark.parametrize("keyword", ["problems", "policy", "critics", "backend", "option_rule"])
def test_a_part_in_place_of_its_name_is_refused(keyword):
    with pytest.raises(TypeError, match=rf"{keyword} must be a name, as a str, got SentenceRule.*from_parts"):
        EnvConfig(**{keyword: SentenceRule()})


def test_problems_must_be_named():
    with pytest.raises(ProblemError, match="needs problems=…"):
        EnvConfig("").load_problems()
    assert len(EnvConfig("gsm_symbolic", "train", 3).load_problems()) == 3


@pytest.mark.parametrize("rule", ["regex:= \\d+;", "regex:\\.\n"])
def test_the_same_rule_goes_through_a_spec(rule):
    env = gym.make("AlphaLLM/GSMSymbolic-v1", limit=2, reward="verifier", option_rule=rule)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.rules.option_rule == env.unwrapped.rules.option_rule == RegexRule(rule[6:])
