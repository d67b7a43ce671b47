"""README is short, begins with an example, and links to what exists. `test_docs.py` runs its code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINKS = sorted({link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link})


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(README.splitlines()) <= 150


def test_there_is_one_example_of_at_most_fifteen_lines() -> None:
    [example] = BLOCKS
    assert len(example.splitlines()) <= 15


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_it_warns_of_the_other_package_called_agents() -> None:
    assert "openai-agents" in README
