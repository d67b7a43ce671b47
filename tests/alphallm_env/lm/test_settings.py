"""Settings of a backend as NAME=VALUE."""

from __future__ import annotations

import pytest

from alphallm_env.envs.config import EnvConfig
from alphallm_env.lm.settings import check_names, filled, parsed

pytest.importorskip("openai", reason="needs the extra alphallm-env[server]")

from alphallm_env.lm.server.client import ServerOptions
from alphallm_env.loading import load_policy


def test_values_are_read_as_yaml():
    found = parsed(["a=3", "b=0.5", "c=true", "d=null", "e=text with = and ,", "f=[1, x]", "g="])
    assert found == {"a": 3, "b": 0.5, "c": True, "d": None, "e": "text with = and ,", "f": [1, "x"], "g": None}


@pytest.mark.parametrize("setting", ["attempts", "=3", "two words=3", "a=[1"])
def test_what_is_no_setting_is_refused(setting: str):
    with pytest.raises(ValueError, match="must be NAME=VALUE"):
        parsed([setting])


def test_a_setting_is_given_once():
    with pytest.raises(ValueError, match="'a' twice"):
        parsed(["a=1", "a=2"])


def test_an_unknown_name_is_answered_with_the_known_ones():
    check_names({"a": 1}, ["b", "a"], "x")
    with pytest.raises(ValueError, match="a setting of x must be one of a, b, got 'c'"):
        check_names({"c": 1}, ["b", "a"], "x")


def test_numbers_of_the_right_kind_are_taken():
    found = filled(ServerOptions, {"attempts": 3, "timeout": 5, "top_log_probs": 7}, "a server")
    assert (found.attempts, found.timeout, found.top_log_probs) == (3, 5, 7)
    assert found.max_in_flight == ServerOptions().max_in_flight
    for values in ({"attempts": 1.5}, {"attempts": True}, {"timeout": "long"}):
        with pytest.raises(ValueError, match="of a server must be"):
            filled(ServerOptions, values, "a server")
    with pytest.raises(ValueError, match="attempts must be >= 1"):
        filled(ServerOptions, {"attempts": 0}, "a server")


def test_a_server_is_given_its_settings_by_name():
    policy = load_policy("http://127.0.0.1:9/v1", backend_settings=["attempts=1", "first_wait=0"])
    with pytest.raises(Exception, match="in the last of 1 attempts"):
        policy.lm.label_probs(["a"], ("b", "c"))
    with pytest.raises(ValueError, match=r"a setting of a server must be one of attempts, .*, got 'api_key'"):
        load_policy("http://127.0.0.1:9/v1", backend_settings=["api_key=secret"])


def test_an_environment_takes_a_sequence_of_settings():
    assert EnvConfig(backend_settings=["attempts=3"]).backend_settings == ("attempts=3",)
    with pytest.raises(TypeError, match=r"backend_settings must be a sequence of NAME=VALUE, got 'attempts=3'"):
        EnvConfig(backend_settings="attempts=3")
