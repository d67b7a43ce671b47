"""The policies that are shipped, by name."""

from __future__ import annotations

from pathlib import Path

TINY_POLICY = Path(__file__).parent / "tiny"
COUNTDOWN_POLICY = Path(__file__).parent / "tiny_countdown"
SHIPPED_POLICIES = {"tiny": TINY_POLICY, "tiny_countdown": COUNTDOWN_POLICY}


def resolve(name: str) -> str:
    """Returns the folder or hub name to load: that of a shipped policy for its name, else the name as it is."""
    return str(SHIPPED_POLICIES.get(name, name))
