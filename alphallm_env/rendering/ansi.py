"""An episode as plain text that is safe to print."""

from __future__ import annotations

from alphallm_env.types import State


def printable(text: str) -> str:
    r"""Returns `text` with every character that could steer a terminal written out.

    >>> printable("2 + 2 = 4\n\x1b[31m")
    '2 + 2 = 4\n\\x1b[31m'
    """
    return "".join(c if c.isprintable() or c == "\n" else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    if character == "\t" or character.isspace():
        return " "
    return character.encode("unicode_escape").decode()


def status(state: State) -> str:
    """Returns one line on how far the episode is."""
    ending = state.ending.value.replace("_", " ") if state.ending else "running"
    return f"[{ending}; options: {state.depth}; tokens: {state.num_tokens}]"


def render_text(state: State) -> str:
    """Returns the question, the options taken, each behind its number, and how far the episode is."""
    steps = [
        f"{number:>3} | " + printable(option.text).strip("\n").replace("\n", "\n    | ")
        for number, option in enumerate(state.options, start=1)
    ]
    return "\n".join([printable(state.question), "", *steps, status(state)])
