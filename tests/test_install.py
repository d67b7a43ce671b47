"""What `.ci/install.py` tells uv is what pip is configured to do."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "install.py"
LISTING = """\
:env:.find-links='/wheels /more'
:env:.disable-pip-version-check='1'
global.index-url='https://a.example/simple'
global.find-links='/old'
install.index-url='https://b.example/simple'
"""


@pytest.fixture(scope="module")
def script() -> dict[str, object]:
    return runpy.run_path(str(SCRIPT))


def test_the_environment_wins_over_sections_and_sections_over_global(script):
    settings = script["pip_settings"](LISTING)
    assert settings["find-links"] == "/wheels /more"
    assert settings["index-url"] == "https://b.example/simple"


def test_uv_gets_the_same_sources_and_what_the_user_set_stays(script):
    settings = script["pip_settings"](LISTING)
    assert script["uv_environment"](settings, {"UV_INDEX_URL": "https://mine.example", "HOME": "/h"}) == {
        "UV_INDEX_URL": "https://mine.example",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "HOME": "/h",
    }


def test_nothing_configured_is_nothing_said_but_the_strategy(script):
    assert script["uv_environment"](script["pip_settings"](""), {}) == {"UV_INDEX_STRATEGY": "unsafe-best-match"}
