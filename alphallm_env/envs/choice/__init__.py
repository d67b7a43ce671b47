"""Environments for agents that learn from numbers: a choice among options that the policy proposes."""
