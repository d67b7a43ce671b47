"""The page of a tree: one HTML file with everything in it, which asks nothing of any network.

What a model wrote is only ever data: JSON whose every character that HTML could read is escaped, which the page's
script puts on the page as text. A Content-Security-Policy lets the browser run this script alone, by its hash, and
forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

from agents.base import PlanResult
from agents.pages.tree_data import tree_data
from alphallm_env.runtime.files import Json, write_whole
from alphallm_env.types import Problem

_SCRIPTS = ("data.js", "colours.js", "layout.js", "drawing.js", "overview.js", "panel.js", "outline.js", "controls.js")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def show_tree(plan: PlanResult, path: str | Path, problem: Problem | None = None, *, title: str = "") -> Path:
    """Writes the tree of a plan as a page, one HTML file to open in any browser, and returns its path.

    Of a search with the setting `trace` the page shows every simulation too. `problem` gives it the gold answer, which
    the page shows on demand, and `title` a heading, such as the planner's name. Raises ValueError for a plan without a
    tree.
    """
    path = Path(path)
    write_whole(path, tree_page(tree_data(plan, problem, title)))
    return path


def tree_page(data: Json) -> str:
    """Returns the page that shows `data`, what `tree_data` returns."""
    style = _asset("tree.css")
    script = "(() => {\n" + '"use strict";\n' + "\n".join(map(_asset, _SCRIPTS)) + "})();\n"
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {"POLICY": policy, "STYLE": style, "DATA": embedded(data), "SCRIPT": script}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("tree.html"))  # what is put in is not read


def embedded(data: Json) -> str:
    r"""Returns data as JSON that is safe inside a script element.

    >>> embedded("</script>&")
    '"\\u003c/script\\u003e\\u0026"'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII: a lone surrogate stays an escape
    return re.sub("[<>&\u2028\u2029]", lambda found: _ESCAPES[found[0]], text)


def _asset(name: str) -> str:
    return (files("agents.pages") / "assets" / name).read_text(encoding="utf-8")


def _source(content: str) -> str:
    """Returns what a Content-Security-Policy calls an inline script or style of that content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
