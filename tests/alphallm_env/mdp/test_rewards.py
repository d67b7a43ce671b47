import pytest

from alphallm_env.mdp.rewards import (
    REWARDS,
    CriticsReward,
    PotentialReward,
    Reward,
    RewardFunction,
    VerifierReward,
    gain,
    pays_gains,
    verdict_on,
)
from alphallm_env.testing import check_reward
from alphallm_env.types import Ending, Option, Problem, State

PROBLEM = Problem("p/one", "How much is 2 + 3?", "5")
START = State(PROBLEM.id, PROBLEM.question)


def after(text: str, ending: Ending | None) -> State:
    return START.child(Option(text, 3), ending)


RUNNING, CUT = after("2 + 3\n", None), after("2 + 3\n", Ending.OUT_OF_TOKENS)
RIGHT, WRONG = after("#### 5\n", Ending.ANSWERED), after("#### 6\n", Ending.ANSWERED)
DEAD_END = after("I give up.", Ending.DEAD_END)


@pytest.mark.parametrize(
    ("state", "critics", "reward"),
    [
        (RUNNING, ("prm",), Reward(prm=0.25)),
        (CUT, ("prm",), Reward(prm=0.25)),  # not finished: its last option is scored as any other
        (RIGHT, ("orm",), Reward(orm=0.5)),
        (WRONG, ("orm",), Reward(orm=0.5)),
        (DEAD_END, (), Reward()),
    ],
)
def test_critics_reward_an_option_or_the_whole_solution(state, critics, reward):
    function = CriticsReward()
    assert function.critics_for(state) == critics
    assert function.reward(state, PROBLEM, {"prm": 0.25, "orm": 0.5}) == reward
    assert function.reward(state, PROBLEM, {name: {"prm": 0.25, "orm": 0.5}[name] for name in critics}) == reward


@pytest.mark.parametrize(
    ("state", "critics", "worth"),
    [
        (RUNNING, ("prm",), Reward(prm=0.25)),
        (CUT, ("prm",), Reward(prm=0.25, before=-0.25)),  # the score is told, and worth nothing
        (RIGHT, ("orm",), Reward(orm=0.5)),
        (DEAD_END, (), Reward()),
    ],
)
def test_the_worth_of_a_state(state, critics, worth):
    function = PotentialReward()
    assert function.critics_for(state) == critics
    assert function.reward(state, PROBLEM, {"prm": 0.25, "orm": 0.5}) == worth


def test_gains_by_hand():
    # 0.5 · 0.75 − 0.25
    assert gain(Reward(prm=0.25), Reward(orm=0.75), discount=0.5).total == pytest.approx(0.125)
    assert gain(Reward(prm=0.25), Reward(prm=0.75), discount=1.0) == Reward(prm=0.75, before=-0.25)
    assert gain(Reward(prm=0.25), Reward(prm=0.5, before=-0.5), discount=1.0).total == -0.25


def test_which_rewards_pay_gains():
    assert [pays_gains(function) for function in (PotentialReward(), CriticsReward(), VerifierReward(), Brevity())] == [
        True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(("state", "paid"), [(RUNNING, 0.0), (CUT, 0.0), (RIGHT, 1.0), (WRONG, 0.0), (DEAD_END, 0.0)])
def test_the_verifier_pays_for_a_correct_answer_only(state, paid):
    function = VerifierReward()
    assert function.reward(state, PROBLEM, {}) == Reward(verifier=paid)
    assert function.critics_for(state) == ()


def test_critics_need_no_answers_and_the_verifier_no_critics():
    assert (CriticsReward().critics, CriticsReward().needs_answers) == (("orm", "prm"), False)
    assert (VerifierReward().critics, VerifierReward().needs_answers) == ((), True)


def test_the_components_sum_to_the_reward():
    assert Reward(prm=0.5, orm=0.25, verifier=1.0, invalid=-2.0, other=0.125).total == -0.125


@pytest.mark.parametrize(
    ("state", "verdict"),
    [(RUNNING, ""), (CUT, "unanswered"), (DEAD_END, "unanswered"), (RIGHT, "correct"), (WRONG, "incorrect")],
)
def test_verdicts(state, verdict):
    assert verdict_on(state, PROBLEM) == verdict
    assert verdict_on(RIGHT, Problem("imagined", "How much is 2 + 3?")) == "no_gold"


class Brevity:
    """A reward of one's own: a thousandth less for each token."""

    critics = ()
    needs_answers = False

    def critics_for(self, state):
        return ()

    def reward(self, state, problem, scores):
        return Reward(other=-0.001 * state.option.num_tokens)


NO_REWARD = "praise"


def test_rewards_are_found_by_name_and_in_any_module():
    assert [REWARDS.resolve(name) for name in REWARDS] == [PotentialReward(), CriticsReward(), VerifierReward()]
    brevity = REWARDS.resolve(f"{__name__}:Brevity")
    assert isinstance(brevity, RewardFunction)
    assert brevity.reward(RUNNING, PROBLEM, {}).total == -0.003


@pytest.mark.parametrize("name", ["potential", "critics", "verifier", f"{__name__}:Brevity"])
def test_rewards_keep_the_contract(name):
    check_reward(REWARDS.resolve(name))


def test_what_is_no_reward_is_named():
    with pytest.raises(
        ValueError, match="reward must be one of potential, critics, verifier, module:attribute, got 'praise'"
    ):
        REWARDS.resolve("praise")
    with pytest.raises(ValueError, match=r"expected a RewardFunction .*got 'praise'"):
        REWARDS.resolve(f"{__name__}:NO_REWARD")
