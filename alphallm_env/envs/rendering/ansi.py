"""An episode as plain text that is safe to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alphallm_env.envs.proposals import Proposals
from alphallm_env.types import Ending, State

Rewards = Sequence[float | None]  # of each option taken; None where it is not known


def printable(text: str) -> str:
    r"""Returns `text` with the characters escaped that a terminal would obey.

    >>> printable("2 + 2 = 4\n\x1b[31m")
    '2 + 2 = 4\n\\x1b[31m'
    """
    return "".join(c if c.isprintable() or c == "\n" else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    if character == "\t" or character.isspace():
        return " "
    return character.encode("unicode_escape").decode()


def status(state: State, rewards: Rewards = (), ending: Ending | None = None) -> str:
    """Returns one line: how the episode ended, options, tokens, and the sum of the known rewards."""
    ended = state.ending or ending
    known = [reward for reward in rewards if reward is not None]
    so_far = f"; return: {sum(known):.2f}" if known else ""
    shown = ended.value.replace("_", " ") if ended else "running"
    return f"[{shown}; options: {state.depth}; tokens: {state.num_tokens}{so_far}]"


def render_text(
    state: State, rewards: Rewards = (), proposals: Proposals | None = None, ending: Ending | None = None
) -> str:
    """Returns the question, the options taken, the status line, and the options on offer.

    Each option follows its number and, where `rewards` has it, its reward. `ending` is how the episode
    ended if the state itself does not say.
    """
    lines = [printable(state.question), ""]
    for number, option in enumerate(state.options, start=1):
        reward = f"{written(rewards[number - 1]):>7}" if rewards else ""
        lines.append(f"{number:>3}{reward} | {_indented(option.text, 3 + len(reward))}")
    lines.append(status(state, rewards, ending))
    if proposals is not None and proposals.options:
        lines += ["", *_offers(proposals)]
    return "\n".join(lines)


def written(reward: float | None) -> str:
    """Returns a reward with two decimals, nothing where it is not known."""
    return "" if reward is None else f"{reward:.2f}"


OFFER_HEADER = "  on offer    prm  value  log p  tokens"


def offer_cells(proposals: Proposals, index: int) -> str:
    """Returns the scores of an option on offer, aligned below `OFFER_HEADER`."""
    option = proposals.options[index]
    log_prob = "" if option.log_prob is None else f"{option.log_prob:.2f}"
    action = f"  [{index}]" + (" ends" if proposals.ends[index] else "")
    scores = f"{proposals.prm[index]:>5.2f}  {proposals.value[index]:>5.2f} {log_prob:>6}"
    return f"{action:<12}{scores}  {option.num_tokens:>6}"


def _offers(proposals: Proposals) -> Iterator[str]:
    yield OFFER_HEADER
    for index, option in enumerate(proposals.options):
        cells = offer_cells(proposals, index)
        yield f"{cells} | {_indented(option.text, len(cells))}"


def _indented(text: str, width: int) -> str:
    return printable(text).strip("\n").replace("\n", "\n" + " " * width + " | ")
