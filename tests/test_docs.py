"""What README and the documentation show, runs: Python as it stands, commands up to the flags that they take."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shlex
import sys
import typing
from pathlib import Path

import pytest

from experiments.runs.settings import settings_of

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# A fence of Python, or an HTML comment that begins with `python`: what a page's code needs and its reader does not.
CODE = re.compile(r"^(?:```python\n(?P<shown>.*?)^```|<!-- python\n(?P<hidden>.*?)^-->)", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"\s+#.*$")


def name_of(page: object) -> str:
    return str(page.relative_to(ROOT)) if isinstance(page, Path) else str(page)


def blocks_of(page: Path) -> list[str]:
    """Returns the page's code, each block behind as many empty lines as there are above it on the page."""
    text = page.read_text()
    return [
        "\n" * text.count("\n", 0, found.start() + 1) + (found["shown"] or found["hidden"] or "")
        for found in CODE.finditer(text)
    ]


def commands_of(page: Path) -> list[str]:
    """Returns the commands of this project that a page shows, those in docstrings included."""
    shells = ("", "console", "bash", "sh", "python")
    blocks = [block for language, block in FENCE.findall(page.read_text()) if language in shells]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [COMMENT.sub("", line).strip().removeprefix("$ ") for line in lines]
    return [command for command in commands if command.startswith(("python -m experiments", "make "))]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
def test_python_runs_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks_of(page):
        exec(compile(block, name_of(page), "exec"), namespace)


SHOWN = [(page, command) for page in PAGES for command in dict.fromkeys(commands_of(page))]


@pytest.mark.parametrize(("page", "command"), SHOWN, ids=name_of)
def test_commands_take_the_flags_shown(page: Path, command: str) -> None:
    if command.startswith("make "):
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert command.split()[1] in targets
        return
    _, _, name, *arguments = shlex.split(command)
    module = importlib.import_module(name)
    if hasattr(module, "parse"):
        module.parse(arguments)
        return
    hints = typing.get_type_hints(module.main)
    [config] = [kind for name, kind in hints.items() if name != "return" and dataclasses.is_dataclass(kind)]
    settings_of(config, arguments)  # type: ignore[arg-type]


def test_examples_are_shown_as_they_are() -> None:
    shown = "\n".join(page.read_text() for page in PAGES)
    for example in (ROOT / "docs" / "examples").rglob("*.py"):
        assert f"```python\n{example.read_text()}```" in shown, example.name


def test_the_patterns_find_what_there_is() -> None:
    readme = ROOT / "README.md"
    assert "gym.make" in blocks_of(readme)[0]
    assert "python -m experiments.evaluate --limit 100" in commands_of(readme)
    assert {"docs/wrappers.md", "docs/your-planner.md"} <= {name_of(page) for page in PAGES if blocks_of(page)}
