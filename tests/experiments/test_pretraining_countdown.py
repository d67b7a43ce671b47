"""What the policy of Countdown is taught: nothing above the level that it is said to be taught."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems import countdown
from alphallm_env.problems.countdown.game import Game, question_of, require_game
from alphallm_env.problems.countdown.problem_set import problem_of
from alphallm_env.problems.countdown.solver import is_in_reach
from alphallm_env.problems.countdown.verifier import CountdownVerifier
from experiments.pretraining.config import PretrainConfig
from experiments.pretraining.countdown import MAX_PLAYED, MAX_SOLVED, documents, tokenizer_of
from experiments.pretraining.documents import Document, encode

CONFIG = PretrainConfig(out=Path("unused"), world="countdown")


def test_a_game_is_won_with_three_numbers_at_most_and_every_line_that_is_learnt_is_legal():
    won, behind, begun = Counter[tuple[int, bool]](), Counter[int](), Counter[int]()
    for document in islice(documents(CONFIG, Random(1), 0), 3_000):
        game, lines = asked_by(document), document.completion.splitlines()
        assert countdown.split_of(game) == "train"
        if not document.is_whole:
            begun[len(game.numbers)] += 1
            assert not document.given
            left = CountdownVerifier().left_after(question_of(game), document.completion)
            assert left is not None
            assert len(left) == MAX_SOLVED
        elif document.given:
            behind[len(game.numbers)] += 1
            assert not CountdownVerifier().is_legal(question_of(game), document.given)
            assert verdict_of(document.given + document.completion, problem_of(game)) != CORRECT
            left = tuple(map(int, document.given.splitlines()[-1].partition(" , ")[2].split()))
            assert len(left) == MAX_SOLVED
            assert CountdownVerifier().is_legal(question_of(Game(left, game.target)), document.completion)
        else:
            assert CountdownVerifier().is_legal(question_of(game), document.completion)
            is_won = verdict_of(document.completion, problem_of(game)) == CORRECT
            assert is_won or not is_in_reach(game.numbers, game.target)
            assert len(lines) == len(game.numbers)
            won[len(game.numbers), is_won] += 1
    assert set(won) == {(2, True), (2, False), (3, True), (3, False)}
    assert set(behind) == set(begun) == set(range(MAX_SOLVED + 1, MAX_PLAYED + 1))


def test_what_is_given_is_not_learnt_and_what_breaks_off_has_no_end():
    tokenizer = tokenizer_of(CONFIG)
    whole = Document("<|question|>Make 5 from: 2 3<|solution|>", "2 + 3 = 5 , 5", given="4 + 4 = 8 , 8\n")
    broken = Document("<|question|>Make 5 from: 2 3<|solution|>", "2 + 3 = 5 , 5\n", is_whole=False)
    [(ids, weights)] = encode([broken, whole], tokenizer, 0.5, num_parts=1)
    texts = [tokenizer.decode(row) for row in ids]
    learnt = [tokenizer.decode(row[weight == 1.0]) for row, weight in zip(ids, weights, strict=True)]
    read = [tokenizer.decode(row[weight == 0.5]) for row, weight in zip(ids, weights, strict=True)]
    assert texts[1] == whole.prompt + whole.given + whole.completion + "<|end|>"
    assert learnt == ["2 + 3 = 5 , 5\n", "2 + 3 = 5 , 5<|end|>"]
    assert read == [whole.prompt, whole.prompt]


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
        game = asked_by(document)
        assert game.key not in tested
        if len(game.numbers) > MAX_SOLVED:
            assert verdict_of(document.given + document.completion, problem_of(game)) != CORRECT


def asked_by(document: Document) -> Game:
    return require_game(document.question)
