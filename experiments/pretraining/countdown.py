"""What the policy of Countdown is taught: the rules up to six numbers, and solutions up to three.

A document is a game of the train split, with a play. With two or three numbers the play reaches the target. With four
to six, target and play have nothing to do with each other, and a play that reaches the target by chance is left out:
so nobody has shown the policy how a game of more than three numbers is won.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from transformers import PreTrainedTokenizerFast

from alphallm_env.lm.word_tokenizer import QUESTION, SOLUTION, WORDS_AND_NUMBERS, build_tokenizer
from alphallm_env.problems import countdown
from alphallm_env.problems.countdown import LEVELS, Game, Level, Move, question_of, solution_of
from alphallm_env.problems.countdown.problem_set import draw, random_play
from alphallm_env.types import Problem
from experiments.pretraining.config import PretrainConfig
from experiments.pretraining.documents import Document

MAX_SOLVED = 3  # numbers of the largest games that are shown with solutions
MAX_PLAYED = 6  # and of the largest ones that are shown at all
SOLVED = (LEVELS["2"], LEVELS["3"], Level(3, numbers=(1, 99)))
_SHARES = (0.2, 0.25, 0.15)  # beside each other, of the documents that are solved
_REHEARSED_PLAYS = 0.125  # of what is rehearsed


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
    solved = [share / sum(_SHARES) * (1.0 - config.play_share) for share in _SHARES]
    while True:
        (level,) = rng.choices((*SOLVED, None), (*solved, config.play_share))
        yield solved_document(rng, level) if level else played_document(rng)


def rehearse(rng: Random, above: int) -> tuple[str, str]:
    """Returns a question and a play, as pre-training showed them: a game of up to three numbers that is solved.

    One in eight is a legal play of more than `above` numbers, where such plays were taught: rules are not forgotten
    of levels that come later.
    """
    if above < MAX_PLAYED and rng.random() < _REHEARSED_PLAYS:
        document = played_document(rng, above + 1)
    else:
        (level,) = rng.choices(SOLVED, _SHARES)
        document = solved_document(rng, level)
    return document.prompt.removeprefix(QUESTION).removesuffix(SOLUTION), document.completion


def solved_document(rng: Random, level: Level) -> Document:
    """Returns a game of the train split with a play that reaches its target."""
    while True:
        game, played = draw(rng, level)
        if countdown.split_of(game) == "train":
            return _document(game, played)


def played_document(rng: Random, fewest: int = MAX_SOLVED + 1) -> Document:
    """Returns a game of the train split with a play that does not reach its target, which was drawn apart from it."""
    while True:
        level = LEVELS[str(rng.randint(fewest, MAX_PLAYED))]
        numbers = tuple(rng.randint(*level.numbers) for _ in range(level.num_numbers))
        game = Game(numbers, rng.randint(*level.targets))
        played = random_play(numbers, rng, level.largest)
        if played and played[-1].result != game.target and countdown.split_of(game) == "train":
            return _document(game, played)


def _document(game: Game, played: list[Move]) -> Document:
    return Document(QUESTION + question_of(game) + SOLUTION, solution_of(game.numbers, played))
