"""What repeats a run: its command, the versions of what ran it, the revision, its settings."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alphallm_env.runtime.files import Json
from experiments.report.document import escaped, table

_PACKAGES = ("alphallm-env", "torch", "transformers", "trl", "numpy", "gymnasium")
_OUT = "runs/again"


def command_of(program: str, config: Mapping[str, Json], presets: Mapping[str, Mapping[str, Json]]) -> str:
    """Returns the command that repeats a run with these settings, in a folder of its own.

    It begins with the preset that differs least from them; a preset of no name is the program's defaults. All others
    are flags. Settings that no preset has are left out.
    """

    def changes(name: str) -> dict[str, Json]:
        return {key: config[key] for key, value in presets[name].items() if key in config and config[key] != value}

    preset = min(presets, key=lambda name: len(changes(name)))
    words = ["python", "-m", program, *(["--preset", preset] if preset else [])]
    for key, value in changes(preset).items():
        words += _flag(key.replace("_", "-"), value)
    return shlex.join([*words, "--out", _OUT])


def _flag(name: str, value: Json) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    text = str(value)
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a run depends on most."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def repeating(folder: Path, config: Mapping[str, Json], command: str) -> str:
    """Returns the command, the versions, the revision and the settings of the run in `folder`."""
    revision = (folder / "revision.txt").read_text().strip()
    rows = [("revision", revision), *versions().items()]
    said = f"<p>At the same revision, with the same versions:</p><pre>{escaped(command)}</pre>" if command else ""
    settings = [(name, json.dumps(value)) for name, value in config.items()]
    return (
        f"{said}{table(('what', 'version'), rows, (0, 1))}"
        f"<h3>Settings</h3>{table(('setting', 'value'), settings, (0, 1))}"
    )
