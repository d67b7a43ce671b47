"""What the policy of Countdown is taught: nothing above the level that it is said to be taught."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

from alphallm_env.lm.word_tokenizer import QUESTION, SOLUTION
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems import countdown
from alphallm_env.problems.countdown.game import require_game
from alphallm_env.problems.countdown.problem_set import problem_of
from alphallm_env.problems.countdown.verifier import CountdownVerifier
from experiments.pretraining.config import PretrainConfig
from experiments.pretraining.countdown import MAX_PLAYED, MAX_SOLVED, documents, rehearse, tokenizer_of

CONFIG = PretrainConfig(out=Path("unused"), world="countdown")


def test_solutions_end_at_three_numbers_and_every_line_is_legal():
    sizes: Counter[int] = Counter()
    for document in islice(documents(CONFIG, Random(1), 0), 1_500):
        question = document.prompt.removeprefix(QUESTION).removesuffix(SOLUTION)
        game = require_game(question)
        sizes[len(game.numbers)] += 1
        assert countdown.split_of(game) == "train"
        assert CountdownVerifier().is_legal(question, document.completion)
        is_solved = verdict_of(document.completion, problem_of(game)) == CORRECT
        assert is_solved == (len(game.numbers) <= MAX_SOLVED)
    assert set(sizes) == set(range(2, MAX_PLAYED + 1))


def test_every_number_below_100_is_one_token_and_longer_ones_are_digits():
    tokenizer = tokenizer_of(CONFIG)
    text = "25 - 3 = 22 , 7 22\n7 + 22 = 29 , 29\n#### 29"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert len(ids) == 9 + 8 + 2
    assert tokenizer.unk_token_id not in ids
    assert [tokenizer.decode([i]) for i in tokenizer("99 100 5")["input_ids"]] == ["99", " ", "1", "0", "0", " 5"]


def test_documents_depend_on_the_seed_alone():
    first, again, other = (list(islice(documents(CONFIG, Random(seed), 0), 20)) for seed in (1, 1, 2))
    assert first == again != other


def test_no_document_shows_a_game_of_development_or_test_nor_how_four_numbers_are_won():
    """Thousands of documents against the sets that are tested on, and against the verifier, by their keys."""
    tested = {
        require_game(problem.question).key
        for level in ("3", "4", "5", "6")
        for split in ("development", "test")
        for problem in countdown.problems(split, 300, level=level)
    }
    for document in islice(documents(CONFIG, Random(7), 0), 3_000):
        game = require_game(document.prompt.removeprefix(QUESTION).removesuffix(SOLUTION))
        assert game.key not in tested
        if len(game.numbers) > MAX_SOLVED:
            assert document.completion.rpartition("#### ")[2] != str(game.target)


def test_what_is_rehearsed_is_what_was_taught():
    rng = Random(3)
    for _ in range(200):
        question, solution = rehearse(rng, MAX_PLAYED)
        game = require_game(question)
        assert len(game.numbers) <= MAX_SOLVED
        assert countdown.split_of(game) == "train"
        assert verdict_of(solution, problem_of(game)) == CORRECT
