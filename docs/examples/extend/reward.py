"""A reward: a correct answer earns 1, less for every token of the solution. It needs no critic.

gym.make("AlphaLLM/GSMSymbolic-v1", reward="docs.examples.extend.reward:BriefSolution")
"""

from collections.abc import Mapping, Sequence

from alphallm_env import Problem, State
from alphallm_env.mdp.rewards import CORRECT, Reward, verdict_on


class BriefSolution:
    """Pays 1 − cost · tokens, at least 0, for the option that completes a correct answer, and 0 for all others."""

    critics: tuple[str, ...] = ()  # of value, prm and orm, those that it may need
    needs_answers = True  # problems without gold answers are refused
    cost = 0.002  # per token

    def critics_for(self, state: State) -> Sequence[str]:
        """Returns the critics whose scores of `state` are needed: none."""
        return ()

    def reward(self, state: State, problem: Problem, scores: Mapping[str, float]) -> Reward:
        """Returns the reward of the last option of `state`."""
        if verdict_on(state, problem) != CORRECT:
            return Reward()
        return Reward(other=max(0.0, 1.0 - self.cost * state.num_tokens))
