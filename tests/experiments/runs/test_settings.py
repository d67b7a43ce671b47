"""Settings in groups: their flags, presets, and how they are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments import self_improve
from experiments.loop.config import PRESETS
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


@dataclass(frozen=True)
class Run:
    names: tuple[str, ...]
    out: Path
    num: int = 3
    is_slow: bool = False
    is_kept: bool = True


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    return str(file)


def test_settings_come_from_a_file_and_flags_go_before_them(tmp_path: Path):
    file = written(tmp_path, "names: [a, b]\nout: runs/x\nis_slow: true\nis-kept: false\nnum: 7\n")
    assert settings_of(Run, ["--config", file]) == Run(("a", "b"), Path("runs/x"), 7, True, False)
    found = settings_of(Run, ["--num", "9", f"--config={file}", "--names", "c", "--is-kept"])
    assert found == Run(("c",), Path("runs/x"), 9, True, True)


def test_a_file_of_the_self_improvement_may_name_its_preset(tmp_path: Path):
    file = written(tmp_path, "preset: long\nimagined: 7\n")
    config, out = self_improve.parse(["--config", file, "--out", "runs/mine"])
    assert (config.rounds, config.imagination.imagined, out) == (PRESETS["long"].rounds, 7, Path("runs/mine"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nums: 3\n", "expected a setting among is_kept, is_slow, names, num, out, got 'nums'"),
        ("- 3\n", "must be a YAML file of settings by name, got list"),
        ("a: [\n", "must be a YAML file of settings, got"),
    ],
)
def test_a_file_that_is_none_of_settings_is_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(SystemExit, match=said):
        settings_of(Run, ["--config", written(tmp_path, text)])
    with pytest.raises(SystemExit, match="must be a YAML file of settings, got ''"):
        settings_of(Run, ["--config"])
