import pytest
from scripted_world import START, asked, make_simulator, search, step

from agents.base import Budget
from agents.best_of_n import BestOfN, answer_shares
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import ScoreKind

SOLUTION_TOKENS = 13  # 5 + 5 + 2 words and the end of the text: every solution of the script


def test_answer_shares_by_hand():
    texts = ("#### 7\n", "#### 7.0\n", "#### 8\n", "nothing\n")
    assert answer_shares([step(START, text) for text in texts]) == [0.5, 0.5, 0.25, 0.0]


def test_majority_answers_what_most_samples_answer():
    simulator = make_simulator()
    result = search(BestOfN("majority"), simulator, Budget(tokens=100 * SOLUTION_TOKENS))
    counts = dict.fromkeys("5678", 0)
    for trajectory in result.finished:
        counts[trajectory.state.text[-2]] += 1
    assert result.answer == max(counts, key=counts.__getitem__) == "7"
    assert result.best.score == counts["7"] / len(result.finished)
    assert {trajectory.score_kind for trajectory in result.finished} == {ScoreKind.VOTE_SHARE}
    assert result.usage.critic_tokens == 0
    assert asked(simulator, "orm") == []


def test_the_samples_reach_the_budget_and_no_further_than_one():
    for num in (4, 5, 37, 100):
        result = search(BestOfN("majority"), make_simulator(), Budget(tokens=num * SOLUTION_TOKENS))
        assert len(result.finished) == result.usage.simulations == num
        assert result.usage.tokens == num * SOLUTION_TOKENS


def test_orm_answers_what_the_critic_scores_highest():
    simulator = make_simulator(orm=lambda text: 0.8 if "#### 5" in text else 0.2)
    result = search(BestOfN("orm"), simulator, Budget(tokens=1_000))
    assert (result.answer, result.best.score) == ("5", 0.8)
    assert result.usage.critic_tokens == len(asked(simulator, "orm")) == 4  # four different texts
    assert {trajectory.score for trajectory in result.finished} == {0.8, 0.2}
    assert {trajectory.score_kind for trajectory in result.finished} == {ScoreKind.ORM}


def test_there_is_always_a_sample():
    result = search(BestOfN("orm"), make_simulator(), Budget(tokens=1))
    assert len(result.finished) == 1


def test_the_first_samples_fit_the_budget_however_long_they_are():
    for tokens, num in ((99, 1), (250, 2), (1_000, 4)):
        assert BestOfN()._next_chunk(Budget(tokens=tokens), Usage(), num_drawn=0, most_tokens=100) == num


def test_a_few_short_samples_do_not_tempt_to_draw_many():
    # Four samples of 2 tokens: 292 tokens are left, enough for 146 such samples, but the next ones may be long.
    used = Usage(policy_tokens=8)
    assert BestOfN()._next_chunk(Budget(tokens=300), used, num_drawn=4, most_tokens=100) == 4


@pytest.mark.parametrize("budget", [Budget(), Budget(simulations=3), Budget(tokens=10_000, simulations=3)])
def test_the_number_of_samples_can_be_limited(budget: Budget):
    result = search(BestOfN("majority", num_samples=7), make_simulator(), budget)
    assert len(result.finished) == min(7, budget.simulations or 7)


def test_samples_do_not_depend_on_how_many_there_are():
    short, long = (search(BestOfN(num_samples=num), make_simulator(), Budget(), seed=1).finished for num in (3, 30))
    assert [trajectory.state for trajectory in short] == [trajectory.state for trajectory in long[:3]]


def test_wrong_arguments_are_errors():
    with pytest.raises(ValueError, match="pick"):
        BestOfN("best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_samples"):
        BestOfN(num_samples=0)
