"""An episode as a picture of fixed size, for videos and TensorBoard."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alphallm_env.envs.proposals import Proposals
from alphallm_env.envs.rendering.ansi import OFFER_HEADER, Rewards, offer_cells, printable, status, written
from alphallm_env.types import Ending, State

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

WIDTH, HEIGHT = 960, 540  # pixels
_MARGIN, _LINE, _FONT_SIZE = 24, 24, 16  # pixels
_PAPER, _INK, _QUIET = (255, 255, 255), (20, 20, 30), (110, 110, 125)
_BAD, _GOOD = (214, 96, 77), (64, 150, 80)  # a reward of 0 and of 1
_REWARD_COLUMNS = 10  # number and reward before an option's text
_MOST_OFFERS = 8

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class _Row:
    """One line: its text, the column where that starts, and the text before that column."""

    text: str
    colour: Colour = _INK
    column: int = 0
    before: str = ""
    score: float | None = None  # colours a bar at the left edge


def render_image(
    state: State, rewards: Rewards = (), proposals: Proposals | None = None, ending: Ending | None = None
) -> NDArray[np.uint8]:
    """Returns uint8 [HEIGHT, WIDTH, 3]: the question, the options with their rewards, what is on offer, the status.

    A bar beside an option goes from red, for a reward of 0, to green, for 1. Where lines do not fit,
    the oldest are left out. `ending` is as in `render_text`.
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(picture)
    below = _offer_rows(proposals) if proposals is not None and proposals.options else []
    rows = [_Row(line, _QUIET) for line in _wrapped(printable(state.question))]
    rows += [_Row(""), *_solution_rows(state, rewards)]
    room = (HEIGHT - 2 * _MARGIN) // _LINE - 1
    above = _newest(rows, room - len(below) - bool(below))
    for line, row in enumerate(above):
        _draw(draw, row, _MARGIN + line * _LINE)
    for line, row in enumerate(below):
        _draw(draw, row, HEIGHT - _MARGIN - _LINE * (len(below) - line + 1))
    draw.text((_MARGIN, HEIGHT - _MARGIN - _FONT_SIZE), status(state, rewards, ending), fill=_QUIET, font=_font())
    return np.asarray(picture, dtype=np.uint8).copy()


def _solution_rows(state: State, rewards: Rewards) -> list[_Row]:
    rows: list[_Row] = []
    for number, option in enumerate(state.options, start=1):
        reward = rewards[number - 1] if rewards else None
        before = f"{number:>2}{written(reward):>6}"
        for line in _wrapped(printable(option.text).strip("\n"), _REWARD_COLUMNS):
            rows.append(_Row(line, _INK, _REWARD_COLUMNS, before, reward))
            before = ""
    return rows


def _offer_rows(proposals: Proposals) -> list[_Row]:
    rows = [_Row(OFFER_HEADER, _QUIET)]
    for index, option in enumerate(proposals.options[:_MOST_OFFERS]):
        cells = offer_cells(proposals, index)
        column = len(cells) + 2
        line = " ".join(printable(option.text).split())
        room = _columns() - column
        shown = line if len(line) <= room else line[: room - 1] + "…"
        rows.append(_Row(shown, _INK, column, cells, proposals.prm[index]))
    if left_out := len(proposals.options) - _MOST_OFFERS:
        rows += [_Row(f"  and {left_out} more", _QUIET)] if left_out > 0 else []
    return rows


def _newest(rows: list[_Row], room: int) -> list[_Row]:
    return rows if len(rows) <= room else [_Row("…", _QUIET), *rows[-(room - 1) :]]


def _draw(draw: ImageDraw, row: _Row, top: int) -> None:
    draw.text((_MARGIN, top), row.before, fill=_QUIET, font=_font())
    draw.text((_MARGIN + row.column * _font().getlength("m"), top), row.text, fill=row.colour, font=_font())
    if row.score is not None:
        bar = (_MARGIN - 12, top - 1, _MARGIN - 7, top + _LINE - 7)
        draw.rectangle(bar, fill=_shade(row.score))


def _shade(score: float) -> Colour:
    share = min(1.0, max(0.0, score))
    red, green, blue = (round(bad + share * (good - bad)) for bad, good in zip(_BAD, _GOOD, strict=True))
    return red, green, blue


@lru_cache(maxsize=1)
def _font() -> FreeTypeFont:
    """Returns the even-spaced font that matplotlib ships: it has Greek letters and mathematical signs."""
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    return ImageFont.truetype(str(path), _FONT_SIZE)


def _columns() -> int:
    return int((WIDTH - 2 * _MARGIN) // _font().getlength("m"))


def _wrapped(text: str, indent: int = 0) -> list[str]:
    return [row for line in text.split("\n") for row in textwrap.wrap(line, _columns() - indent) or [""]]
