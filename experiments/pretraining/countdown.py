"""What the policy of Countdown is taught: the rules up to six numbers, and solutions of three numbers at most.

A document is one of these, of the train split:

- a game of two or three numbers and a play that reaches its target, or, where none does, a play that misses it;
- the same behind a few lines of another game, which are given and not learnt: how a game of three numbers is won does
  not depend on what stands before it. What the question asks cannot be reached that way, as those lines are not legal
  in it;
- the first lines of a legal play of four to six numbers, whose target was drawn apart from it. It breaks off where
  three numbers are left.

So nobody has shown the policy a game of more than three numbers that is won, nor what a good first line of one is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from transformers import PreTrainedTokenizerFast

from alphallm_env.lm.word_tokenizer import QUESTION, SOLUTION, WORDS_AND_NUMBERS, build_tokenizer
from alphallm_env.problems import countdown
from alphallm_env.problems.countdown import LEVELS, Game, Move, question_of, solution_of
from alphallm_env.problems.countdown.game import after, line_of, play
from alphallm_env.problems.countdown.problem_set import draw, random_numbers, random_play
from alphallm_env.problems.countdown.solver import is_in_reach
from alphallm_env.types import Problem
from experiments.pretraining.config import PretrainConfig
from experiments.pretraining.documents import Document

MAX_SOLVED = 3  # numbers of the largest games that are shown with solutions
MAX_PLAYED = 6  # and of the largest ones that are shown at all
_ALONE = {"2": 0.15, "3": 0.4, "4": 0.25, "5": 0.2}  # where small games come from: of four and more, what a play leaves
_BEHIND = {"4": 0.5, "5": 0.3, "6": 0.2}  # the same of those that stand behind other lines
_BEHIND_SHARE = 0.35  # of small games
_MISSED_SHARE = 0.2  # of small games: their target is out of reach


def tokenizer_of(config: PretrainConfig) -> PreTrainedTokenizerFast:  # noqa: ARG001
    """Returns a tokenizer in which every number below 100 is a token."""
    numbers = " ".join(map(str, range(100)))
    lines = "\n".join(f"{number} + 1 - 1 * 1 / 1 = 1 , 1" for number in range(100))
    text = f"{question_of(Game((1, 2), 3))} {numbers}\n{lines}\n#### 1"
    return build_tokenizer([text], min_count=1, pieces=WORDS_AND_NUMBERS)


def development(config: PretrainConfig) -> list[Problem]:
    """Returns the problems that the greedy accuracy is measured on: of the hardest level that is taught."""
    return countdown.problems("development", config.development_problems, level=str(MAX_SOLVED))


def documents(config: PretrainConfig, rng: Random, tokens_seen: int) -> Iterator[Document]:  # noqa: ARG001
    """Yields documents for ever; `config.play_share` of them are legal plays. The order depends on `rng` alone."""
    rng = Random(f"countdown:{rng.random()}")
    while True:
        yield drawn(rng, config.play_share)


def drawn(rng: Random, play_share: float = PretrainConfig.play_share) -> Document:
    """Returns one document; with a chance of `play_share` a legal play that breaks off."""
    return begun_document(rng) if rng.random() < play_share else ended_document(rng)


def ended_document(rng: Random) -> Document:
    """Returns a game of two or three numbers that is played to its end, by itself or behind lines of another game."""
    is_behind, is_missed = rng.random() < _BEHIND_SHARE, rng.random() < _MISSED_SHARE
    while True:
        before, game, played = small_game(rng, _BEHIND if is_behind else _ALONE, is_missed=is_missed)
        asked = (
            Game(random_numbers(rng, LEVELS[str(len(game.numbers) + len(before))]), game.target) if is_behind else game
        )
        is_another = not is_behind or play(asked.numbers, before[0]) is None
        if is_another and countdown.split_of(asked) == countdown.split_of(game) == "train":
            prompt = QUESTION + question_of(asked) + SOLUTION
            return Document(prompt, solution_of(game.numbers, played), given=_text_of(before) if is_behind else "")


def small_game(
    rng: Random, shares: Mapping[str, float], *, is_missed: bool = False
) -> tuple[list[str], Game, list[Move]]:
    """Returns a game of at most three numbers with a play, and the lines of a larger game that led to it, if any.

    The play reaches the target; or, where `is_missed`, the target is out of reach and the play is a random one.
    """
    while True:
        level = LEVELS[rng.choices(list(shares), list(shares.values()))[0]]
        game, played = draw(rng, level)
        if countdown.split_of(game) != "train":
            continue
        before, game, played = _until_small(game, played)
        if not is_missed:
            return before, game, played
        missed = Game(game.numbers, rng.randint(*level.targets))
        other = random_play(game.numbers, rng, level.largest)
        if other and not is_in_reach(missed.numbers, missed.target):
            return before, missed, other


def begun_document(rng: Random) -> Document:
    """Returns a game of the train split, with a legal play up to where three numbers are left."""
    while True:
        level = LEVELS[str(rng.randint(MAX_SOLVED + 1, MAX_PLAYED))]
        game = Game(random_numbers(rng, level), rng.randint(*level.targets))
        played = random_play(game.numbers, rng, level.largest)
        if played and countdown.split_of(game) == "train":
            lines, _, _ = _until_small(game, played)
            return Document(QUESTION + question_of(game) + SOLUTION, _text_of(lines), is_whole=False)


def _until_small(game: Game, played: Sequence[Move]) -> tuple[list[str], Game, list[Move]]:
    """Returns the lines of a play up to where at most three numbers are left, the game that is left, and its play."""
    lines: list[str] = []
    num_lines = max(0, len(game.numbers) - MAX_SOLVED)
    for move in played[:num_lines]:
        game = Game(after(game.numbers, move), game.target)
        lines.append(line_of(move, game.numbers))
    return lines, game, list(played[num_lines:])


def _text_of(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
