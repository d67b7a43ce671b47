"""README begins with an example; what its file tree names, exists. `test_docs.py` runs its code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_is_a_first_example_of_about_fifteen_lines() -> None:
    assert len(BLOCKS[0].splitlines()) <= 15


def test_every_named_file_exists() -> None:
    tree = re.search(r"## Files\n\n```\n(.*?)```", README, re.DOTALL)
    assert tree is not None
    folder = ""
    for line in tree[1].splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            assert (ROOT / name).exists(), name
        else:
            assert (ROOT / folder / name).exists(), f"{folder}{name}"
