"""Agents, rules and planners on the Choice environments."""
