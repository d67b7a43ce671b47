"""Settings in groups: their flags, presets, and how they are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.runs.settings import changed, flat, preset_of, settings_of, with_flat_flags


@dataclass(frozen=True)
class Search:
    """How to search."""

    budget: int = 5
    planners: tuple[str, ...] = ("greedy",)


@with_flat_flags
@dataclass(frozen=True)
class Config:
    """A program."""

    search: Search = Search()
    notes: bool = True
    out: Path | None = None


def test_a_group_has_flat_flags():
    config = settings_of(Config, ["--budget", "7", "--no-notes", "--planners", "a", "b", "--out", "x"])
    assert config == Config(Search(7, ("a", "b")), notes=False, out=Path("x"))
    assert settings_of(Config, [], Config(Search(9))).search.budget == 9


def test_settings_are_recorded_by_the_names_of_their_flags():
    config = Config(Search(7), out=Path("x"))
    assert flat(config) == {"budget": 7, "planners": ["greedy"], "notes": True, "out": "x"}
    assert flat(config, "out", "planners") == {"budget": 7, "notes": True}


def test_a_name_that_two_groups_share_is_an_error():
    @dataclass(frozen=True)
    class Twice:
        search: Search = Search()
        budget: int = 1

    with pytest.raises(ValueError, match="each setting once in Twice, got budget twice"):
        flat(Twice())


def test_a_preset_is_named_before_the_flags_are_parsed():
    presets = {"tiny": 1, "gsm8k": 2}
    assert [preset_of(flags, presets) for flags in ([], ["--preset", "gsm8k"], ["--x", "1", "--preset=gsm8k"])] == [
        "tiny", "gsm8k", "gsm8k"
    ]  # fmt: skip
    for flags in (["--preset", "huge"], ["--preset"], ["--preset="]):
        with pytest.raises(SystemExit, match="--preset must be one of tiny, gsm8k, got"):
            preset_of(flags, presets)


def test_settings_in_groups_are_changed_by_their_names():
    assert changed(Config(), budget=8, notes=False) == Config(Search(8), notes=False)
    with pytest.raises(ValueError, match="Config has no setting bugdet"):
        changed(Config(), bugdet=8)
