from scripted_world import asked, make_simulator, search

from agents.base import Budget
from agents.greedy import Greedy
from alphallm_env.types import ScoreKind


def test_greedy_writes_the_likeliest_solution():
    simulator = make_simulator()
    result = search(Greedy(), simulator, Budget(tokens=1))
    assert result.best.state.text == "2 * 3 = 6\n6 + 1 = 7\n#### 7\n"
    assert (result.answer, result.best.score, len(result.finished)) == ("7", 1.0, 1)
    assert result.best.score_kind is ScoreKind.HAS_ANSWER
    # 5 + 5 + 2 words and the end of the text.
    assert (result.usage.policy_tokens, result.usage.tokens, result.usage.simulations) == (13, 13, 1)
    assert asked(simulator, "orm") == []


def test_greedy_does_not_depend_on_the_seed():
    texts = {search(Greedy(), make_simulator(), Budget(), seed).best.state.text for seed in range(5)}
    assert len(texts) == 1


def test_a_solution_without_an_answer_scores_zero():
    result = search(Greedy(), make_simulator({}), Budget())
    assert (result.best.score, result.answer) == (0.0, None)
