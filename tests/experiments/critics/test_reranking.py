"""What an ORM is worth among samples, by hand."""

import pytest

from alphallm_env.training.graded import ProblemData, Sample
from experiments.critics.reranking import WAYS, reranking, reranking_table


def problem(name, *samples):
    return ProblemData(tuple(Sample(name, f"{name}?", (f"#### {answer}",), right) for answer, right in samples), ())


FEW_RIGHT = problem("a", (1, False), (1, False), (2, True), (3, False))
MANY_RIGHT = problem("b", (5, True), (5, True), (6, False), (7, False))


def test_ways_to_choose_by_hand():
    found = reranking([FEW_RIGHT, MANY_RIGHT], [0.2, 0.3, 0.9, 0.1, 0.4, 0.5, 0.7, 0.1])
    # a: the majority says 1, the ORM 2, the votes weigh .5 for 1 and .9 for 2; b: 5, 6, and .9 for 5.
    assert found.accuracy == {"one_sample": 0.375, "majority": 0.5, "orm": 0.5, "orm_vote": 1.0, "any": 1.0}
    assert (found.orm_over_majority, found.orm_over_majority_ci95) == (0.0, (-1.0, 1.0))
    assert found.num_problems == 2


def test_problems_without_a_sample_are_left_out():
    assert reranking([ProblemData((), ()), FEW_RIGHT], [0.2, 0.3, 0.9, 0.1]).num_problems == 1
    with pytest.raises(ValueError, match="expected a problem with a graded sample, got none in 1"):
        reranking([ProblemData((), ())], [])


def test_every_sample_needs_a_score():
    with pytest.raises(ValueError, match="expected 4 scores, one a sample, got 3"):
        reranking([FEW_RIGHT], [0.1, 0.2, 0.3])


def test_the_table_has_a_row_for_every_way():
    table = reranking_table(reranking([FEW_RIGHT], [0.2, 0.3, 0.9, 0.1]))
    assert table.row_count == len(WAYS) + 1
