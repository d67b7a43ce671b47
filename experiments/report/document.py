"""One HTML file: its head, which forbids every request, its contents, its sections, and what they are made of."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.report.style import STYLE
from experiments.runs.plots import Picture

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; img-src data:; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Section:
    """A part of a page: its title, which is escaped, and its body, which is HTML."""

    title: str
    body: str


def document(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """Returns a page. `introduction` is HTML; sections without a body are left out."""
    shown = [section for section in sections if section.body]
    contents = "".join(f'<a href="#part{n}">{escaped(section.title)}</a>' for n, section in enumerate(shown))
    parts = "\n".join(
        f'<section><h2 id="part{n}">{escaped(section.title)}</h2>\n{section.body}</section>'
        for n, section in enumerate(shown)
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)}</title><style>{STYLE}</style></head><body>
<h1>{escaped(title)}</h1>
{introduction}
<nav aria-label="Contents">{contents}</nav>
{parts}
</body></html>
"""


def escaped(value: object) -> str:
    """Returns the value's text, safe in HTML.

    >>> escaped("<b>")
    '&lt;b&gt;'
    """
    return html.escape(str(value))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], words: Sequence[int] = (0,)) -> str:
    """Returns a table that scrolls where it is too wide; all texts are escaped. `words` are columns set to the left."""
    return raw_table(columns, [[escaped(cell) for cell in row] for row in rows], words)


def raw_table(columns: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """Returns a table whose cells are HTML."""

    def cells(tag: str, row: Sequence[str]) -> str:
        marked = [(' class="words"' if place in words else "", cell) for place, cell in enumerate(row)]
        return "".join(f"<{tag}{mark}>{cell}</{tag}>" for mark, cell in marked)

    head = cells("th", [escaped(column) for column in columns])
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def image(picture: Picture, shows: str) -> str:
    """Returns a picture in its light and its dark form; `shows` says what is seen."""
    light, dark = (base64.b64encode(data).decode() for data in (picture.light, picture.dark))
    return (
        '<figure class="scroll"><picture><source media="screen and (prefers-color-scheme: dark)" '
        f'srcset="data:image/png;base64,{dark}">'
        f'<img alt="{escaped(shows)}" src="data:image/png;base64,{light}"></picture></figure>'
    )
