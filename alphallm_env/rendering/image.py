"""An episode as a picture of fixed size, for videos and TensorBoard."""

from __future__ import annotations

import textwrap
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alphallm_env.rendering.ansi import printable, status
from alphallm_env.types import State

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

WIDTH, HEIGHT = 960, 540  # pixels
_MARGIN, _LINE, _FONT_SIZE = 24, 24, 16  # pixels
_PAPER, _INK, _QUIET = (255, 255, 255), (20, 20, 30), (110, 110, 125)

Colour = tuple[int, int, int]


def render_image(state: State) -> NDArray[np.uint8]:
    """Returns uint8 [HEIGHT, WIDTH, 3]: the question in grey, the solution in black, the status below.

    What does not fit is left out from the beginning, so that the newest lines always show.
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(picture)
    question = [(line, _QUIET) for line in _wrapped(printable(state.question))]
    solution = [(line, _INK) for line in _wrapped(printable(state.text).rstrip("\n"))] if state.depth else []
    for row, (line, colour) in enumerate(_newest([*question, ("", _INK), *solution])):
        draw.text((_MARGIN, _MARGIN + row * _LINE), line, fill=colour, font=_font())
    draw.text((_MARGIN, HEIGHT - _MARGIN - _FONT_SIZE), status(state), fill=_QUIET, font=_font())
    return np.asarray(picture, dtype=np.uint8).copy()


def _newest(lines: list[tuple[str, Colour]]) -> list[tuple[str, Colour]]:
    room = (HEIGHT - 2 * _MARGIN) // _LINE - 1
    return lines if len(lines) <= room else [("…", _QUIET), *lines[-(room - 1) :]]


@lru_cache(maxsize=1)
def _font() -> FreeTypeFont:
    """Returns the even-spaced font that matplotlib ships: it has Greek letters and mathematical signs."""
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    return ImageFont.truetype(str(path), _FONT_SIZE)


def _wrapped(text: str) -> list[str]:
    columns = int((WIDTH - 2 * _MARGIN) // _font().getlength("m"))
    return [row for line in text.split("\n") for row in textwrap.wrap(line, columns) or [""]]
