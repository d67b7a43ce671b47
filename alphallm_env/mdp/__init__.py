"""The semi-Markov decision process as pure functions.

`options` has the termination rules β and the discount, `dynamics` the rules of an episode and the transition, `rewards`
the reward functions and the verdict on a finished solution.
"""
