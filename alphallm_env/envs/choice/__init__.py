"""Environments for agents that learn from numbers: a choice among options that the policy proposes.

`env` has `OptionChoiceEnv`, `config` its keywords, `state` its snapshot, `features` its observation, `masks` its action
masks and what an invalid action does.
"""
