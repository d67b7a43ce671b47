"""What critics are worth within one level."""

from __future__ import annotations

import json
import math

from alphallm_env.critics.measures import quality
from alphallm_env.training.graded import ProblemData, Sample
from experiments.critics.measuring import Scored, by_level


def data(question: str, *outcomes: bool) -> ProblemData:
    return ProblemData(tuple(Sample(question, question, ("#### 1",), outcome) for outcome in outcomes), ())


def test_a_critic_that_knows_the_level_alone_is_worth_nothing_within_one():
    tested = [data("easy", True, True, False), data("hard", True, False, False), data("other", True, False)]
    scores = [0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.5, 0.5]
    scored = Scored(scores, [sample.correct for problem in tested for sample in problem.samples])
    found = by_level({"orm": scored}, tested, 0.25, {"easy": "1", "hard": "2"}.get)
    assert {level: (quality.auc, quality.num_scores) for level, quality in found["orm"].items()} == {
        "1": (0.5, 3),
        "2": (0.5, 3),
    }


def test_a_level_of_one_outcome_has_no_quality():
    tested = [data("easy", True, True), data("hard", True, False)]
    scored = Scored([0.9, 0.8, 0.7, 0.1], [True, True, True, False])
    found = by_level({"orm": scored}, tested, 0.25, {"easy": "1", "hard": "2"}.get)
    assert {level: quality.auc for level, quality in found["orm"].items()} == {"2": 1.0}


def test_what_cannot_be_measured_is_null_in_json():
    nothing_accepted = quality([0.1, 0.2], [True, False])
    assert math.isnan(nothing_accepted.precision)
    found = nothing_accepted.to_json()
    assert (found["precision"], found["recall"], found["num_scores"]) == (None, 0.0, 2)
    json.dumps(found, allow_nan=False)
