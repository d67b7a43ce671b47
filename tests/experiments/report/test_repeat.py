"""What repeats a run: the command means the same settings, and a shell reads it as it is."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.loop.config import PRESETS, SelfImproveConfig, smoke
from experiments.loop.details import repeating_command
from experiments.per_token import PerTokenConfig
from experiments.report.repeat import command_of, versions
from experiments.runs.settings import changed, flat, settings_of
from experiments.self_improve import parse

CHANGED = {
    "smoke": smoke(PRESETS["tiny"]),
    "fewer controls": changed(PRESETS["countdown"], controls=("no_curriculum",), threads=1),
    "no control": changed(PRESETS["countdown"], controls=()),
    "a switch": changed(PRESETS["long"], curriculum=False, refresh="value,prm"),
    "empty": changed(PRESETS["tiny"], unseen_split=""),
    "a dash": changed(PRESETS["tiny"], critics="-odd", backend_settings=("a=b c", "d=$HOME")),
} | PRESETS


@pytest.mark.parametrize("config", CHANGED.values(), ids=CHANGED)
def test_the_command_means_the_settings_of_the_run(config: SelfImproveConfig):
    config = config if config.models.policy else changed(config, policy="a folder/of mine")
    words = shlex.split(repeating_command(config))
    assert words[:3] == ["python", "-m", "experiments.self_improve"]
    assert parse(words[3:]) == (config, Path("runs/again"))


@settings(max_examples=15, deadline=None)
@given(
    rounds=st.integers(1, 99),
    lr=st.floats(1e-9, 1.0),
    policy=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9),
)
def test_so_it_does_for_any_values(rounds: int, lr: float, policy: str):
    config = changed(PRESETS["countdown"], rounds=rounds, lr=lr, policy=policy)
    assert parse(shlex.split(repeating_command(config))[3:])[0] == config


def test_the_command_of_a_comparison_means_its_settings():
    config = PerTokenConfig(problems=("countdown:3",), multiples=(4, 8), reference="uct", trees=("uct",), limit=7)
    command = command_of("experiments.per_token", flat(config), {"": flat(PerTokenConfig())})
    found = settings_of(PerTokenConfig, shlex.split(command)[3:])
    assert found == replace(config, out=Path("runs/again"))


def test_it_has_the_nearest_preset_and_only_what_differs():
    presets = {"far": {"a": 1, "b": 2}, "near": {"a": 3, "b": 2}}
    assert command_of("p", {"a": 3, "b": 4}, presets) == "python -m p --preset near --b 4 --out runs/again"
    assert command_of("p", {"a_b": ["x", "y z"]}, {"": {"a_b": []}}) == "python -m p --a-b x 'y z' --out runs/again"


def test_versions_are_those_of_what_is_installed():
    import torch

    found = versions()
    assert found["torch"] == torch.__version__.partition("+")[0] or found["torch"] == torch.__version__
    assert found["python"].startswith("3.")
